#!/usr/bin/env bash
# PSR, NSR or W-REINFORCE on Llama-3.1-8B-Instruct, MATH.   [DRY_RUN=1] bash run_llama3.1-8b_psr_nsr.sh [key=value …]
# Steps: not in our table; set to 110, as for Qwen2.5-Math-7B (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper's results for this model: not in our table.
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
advantage=negative   # NSR · positive: PSR · weighted: W-REINFORCE · the others: docs/methods.md
positive_advantage_weight=0.1   # λ, for W-REINFORCE only
lr=1e-6
steps=110

launch --config-name=psr_nsr base_model=llama3.1-8b machine=$machine \
    algorithm.advantage=$advantage \
    algorithm.positive_advantage_weight=$positive_advantage_weight \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name="llama3.1-8b-$advantage" \
    trainer.total_training_steps=$steps "$@"
