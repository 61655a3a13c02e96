#!/usr/bin/env bash
# Make .venv (cpu), .venv-gpu (gpu) or .venv-trl (trl) with the pinned packages; does nothing when that is done.
#     bash scripts/install.sh cpu|gpu|trl
# PYTHON=/path/to/python chooses the Python. This file finds one that runs; scripts/install.py does the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.venv
case ${1:-} in gpu | trl) folder=.venv-$1 ;; esac
if "$folder/bin/python" -I -S scripts/install.py "$@" --check 2>/dev/null; then exit 0; fi

# Version managers put stand-ins on PATH that only print an error: what counts is that it runs. An environment's Python is
# replaced by the one below it, as the environment may be about to go.
pyenv=${PYENV_ROOT:-$HOME/.pyenv}/versions
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.10 "$pyenv"/3.1[0-2].*/bin/python3; do
    base=$("$candidate" -I -c \
        'import sys; assert (3, 10) <= sys.version_info < (3, 13); print(sys._base_executable)' 2>/dev/null) || continue
    exec "$base" -I scripts/install.py "$@"
done
echo "Python 3.10, 3.11 or 3.12 is needed and none was found that runs; set PYTHON=/path/to/python3.11" >&2
exit 2
