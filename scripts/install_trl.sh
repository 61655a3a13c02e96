#!/usr/bin/env bash
# Make .venv-trl with TRL, which `make bench-step` compares with; does nothing when that is done already.
set -euo pipefail
cd "$(dirname "$0")/.."

if .venv-trl/bin/python -c 'import importlib.metadata as m; assert m.version("trl") == "1.16.0"' 2>/dev/null; then exit 0; fi
echo "installing TRL into .venv-trl (a few minutes, once)"
"${PYTHON:-python3}" -m venv .venv-trl
pip() { .venv-trl/bin/python -m pip --disable-pip-version-check "$@"; }
# The CPU build of torch, as in install.py; the same torch and transformers as .venv has.
pip install --quiet "torch==2.13.0+cpu" 2>/dev/null ||
    pip install --quiet "torch==2.13.0+cpu" --index-url https://download.pytorch.org/whl/cpu
pip install --quiet trl==1.16.0 transformers==5.10.4 accelerate==1.15.0 datasets==5.2.0 pandas pyarrow
