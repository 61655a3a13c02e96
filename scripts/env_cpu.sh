# Environment of a run on the CPU; the tiny launchers source it.
export VERL_PLATFORM=cpu          # chosen, never detected: see verl/rlvr/cpu
export HF_HUB_OFFLINE=1           # the tiny model and data are local
export GPUS_PER_NODE=${GPUS_PER_NODE:-1} # training processes; each takes one logical GPU of Ray's
