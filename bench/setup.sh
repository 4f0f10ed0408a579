#!/usr/bin/env bash
# Makes the Python environment of the benchmarks in bench/.venv (about 6 GB: PyTorch brings its GPU
# libraries along). Needs Python 3.11 or later with the venv module (Debian: python3-venv). With the
# argument `joey` it adds Joey NMT, whose own pins of old versions are not followed. With `highway` it makes
# another one in bench/.venv-highway, for highway-env alone (about 330 MB, without PyTorch).
set -euo pipefail
cd "$(dirname "$0")"
if [[ ${1:-} == highway ]]; then
  python3 -m venv .venv-highway
  .venv-highway/bin/pip install --quiet --requirement requirements-highway.txt
  .venv-highway/bin/python -c 'import highway_env; print("highway-env", highway_env.__version__, "is ready")'
  exit
fi
python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
if [[ ${1:-} == joey ]]; then
  .venv/bin/pip install --quiet --requirement requirements-joey.txt
  .venv/bin/pip install --quiet --no-deps joeynmt==2.3.0
  .venv/bin/python -c 'import joeynmt.training; print("Joey NMT is ready")'
fi
.venv/bin/python -c 'import torch; print("PyTorch", torch.__version__, "is ready")'
