# Environment of a run on the CPU; launchers source it.
export VERL_PLATFORM=cpu          # chosen, never detected: see verl/rlvr/cpu
export HF_HUB_OFFLINE=1           # the tiny model and data are local
export TOKENIZERS_PARALLELISM=false
export PYTHONUNBUFFERED=1
if [ -d .venv ]; then export PATH="$PWD/.venv/bin:$PATH"; fi
