# Environment of a run on the CPU; launchers source it.
export VERL_PLATFORM=cpu          # chosen, never detected: see verl/rlvr/cpu
export HF_HUB_OFFLINE=1           # the tiny model and data are local
export TOKENIZERS_PARALLELISM=false
export PYTHONUNBUFFERED=1
export TORCH_COMPILE_DISABLE=1      # vLLM compiles two small functions: 13 s of g++ at the first step
export RAY_prestart_worker_first_driver=0   # idle interpreters; workers come from rlvr/cpu/forkserver.py
if [ -d .venv ]; then export PATH="$PWD/.venv/bin:$PATH"; fi
