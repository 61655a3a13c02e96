#!/usr/bin/env bash
# Make .venv and install the pinned CPU set into it; does nothing when that is done already.   bash scripts/install_cpu.sh
set -euo pipefail
cd "$(dirname "$0")/.."

torch="torch==2.13.0+cpu"
stamp=.venv/.installed
wanted=$(cat requirements/cpu.txt pyproject.toml packaging/vllm-alias/pyproject.toml scripts/install_cpu.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

python=""
for candidate in "${PYTHON:-python3}" python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.10, 3.11 or 3.12 is needed; set PYTHON=/path/to/python3.11" >&2
    exit 2
fi

started=$SECONDS
echo "installing into .venv with $("$python" --version) (a few minutes, once)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

# The CPU build of torch: the configured indexes first, PyTorch's own only when they have no such build.
pip install --quiet --no-deps "$torch" 2>/dev/null ||
    pip install --quiet --no-deps "$torch" --index-url https://download.pytorch.org/whl/cpu
# The whole set is in the file, so nothing is resolved and nothing from CUDA comes along.
pip install --quiet --no-deps -r requirements/cpu.txt
pip install --quiet --no-deps --no-build-isolation ./packaging/vllm-alias
pip install --quiet --no-deps --no-build-isolation --editable .
echo "$wanted" >"$stamp"
echo "installed in $((SECONDS - started)) s"
