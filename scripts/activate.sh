# The commands of this repository source it: its environment comes first on PATH, if it has one (else what is active stays).
# .venv-gpu (make install-gpu) where there is one and the CPU was not chosen, .venv (make install) otherwise.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
environment=$repository/.venv
if [ "${VERL_PLATFORM:-}" != cpu ] && [ -d "$repository/.venv-gpu" ]; then environment=$repository/.venv-gpu; fi
if [ -d "$environment" ]; then export PATH="$environment/bin:$PATH"; fi
