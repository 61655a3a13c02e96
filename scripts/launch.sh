# Launchers source this:   launch --config-name=METHOD base_model=… machine=… [key=value …]
#   DRY_RUN=1 only checks, DRY_RUN=arguments only prints the arguments, one a line
#   NNODES, GPUS_PER_NODE and RAY_ADDRESS are for several nodes: docs/clusters.md
export TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
source scripts/activate.sh

launch() {
    local method=$1 gpus=${GPUS_PER_NODE:-8} settings=() # settings come first, so that key=value may replace them
    shift
    if [ -n "${NNODES:-}" ]; then settings+=(trainer.nnodes="$NNODES"); fi
    if [ -n "${GPUS_PER_NODE:-}" ]; then settings+=(trainer.n_gpus_per_node="$GPUS_PER_NODE"); fi
    if [ "${NNODES:-1}" -gt 1 ]; then export RAY_ADDRESS=${RAY_ADDRESS:-auto}; fi
    if [ -n "${RAY_ADDRESS:-}" ]; then # a cluster that runs has its own counts, and Ray refuses others
        settings+=(ray_kwargs.ray_init.num_cpus=null ++ray_kwargs.ray_init.num_gpus=null)
    else
        settings+=(ray_kwargs.ray_init.num_cpus="$(python3 -m rlvr.cluster.cpus "$gpus")")
    fi

    if [ "${DRY_RUN:-0}" = arguments ]; then
        printf '%s\n' --config-dir=configs "$method" "${settings[@]}" "$@"
        return
    fi
    local program=verl.trainer.main_ppo
    if [ "${DRY_RUN:-0}" = 1 ]; then
        program=rlvr.launch.dry_run
    elif [ -n "${RAY_ADDRESS:-}" ]; then
        python3 -m rlvr.cluster wait --nodes "${NNODES:-1}" --gpus-per-node "$gpus"
    fi
    local running code=0
    running=$(mktemp -u)
    RLVR_RUNNING=$running python3 -m "$program" --config-dir=configs "$method" "${settings[@]}" "$@" || code=$?
    if [ -e "$running" ]; then # Python did not end it (rlvr.operate.running)
        rm -f "$running"
        if [ "$code" = 1 ]; then
            echo "watchdog: lost Ray's raylet or head: Ray's library ended the driver" >&2
            echo 'watchdog: stopping the run with exit code 76: the same command resumes from the last checkpoint' >&2
            code=76
        fi
    fi
    return "$code"
}
