# Environment of a run on the CPU; the tiny launchers source it.
export VERL_PLATFORM=cpu          # chosen, never detected: see verl/rlvr/cpu
export HF_HUB_OFFLINE=1           # the tiny model and data are local
export GPUS_PER_NODE=${GPUS_PER_NODE:-1} # training processes; each takes one logical GPU of Ray's
export TORCH_COMPILE_DISABLE=1      # vLLM compiles two small functions: 13 s of g++ at the first step
export RAY_prestart_worker_first_driver=0   # idle interpreters; workers come from rlvr/cpu/forkserver.py
