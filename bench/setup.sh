#!/usr/bin/env bash
# Makes the Python environment of the benchmarks in bench/.venv (about 6 GB: PyTorch brings its GPU
# libraries along). Needs Python 3.11 or later with the venv module (Debian: python3-venv).
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
.venv/bin/python -c 'import torch; print("PyTorch", torch.__version__, "is ready")'
