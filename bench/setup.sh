#!/usr/bin/env bash
# Makes the Python environment of the benchmarks in bench/.venv (about 6 GB: PyTorch brings its GPU
# libraries along). Needs Python 3.11 or later with the venv module (Debian: python3-venv). With the
# argument `joey` it adds Joey NMT, whose own pins of old versions are not followed.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
if [[ ${1:-} == joey ]]; then
  .venv/bin/pip install --quiet --requirement requirements-joey.txt
  .venv/bin/pip install --quiet --no-deps joeynmt==2.3.0
  .venv/bin/python -c 'import joeynmt.training; print("Joey NMT is ready")'
fi
.venv/bin/python -c 'import torch; print("PyTorch", torch.__version__, "is ready")'
