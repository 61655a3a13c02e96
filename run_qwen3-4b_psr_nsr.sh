#!/usr/bin/env bash
# PSR, NSR or W-REINFORCE on Qwen3-4B without thinking, MATH.   [DRY_RUN=1] bash run_qwen3-4b_psr_nsr.sh [key=value …]
# Steps: about 50 (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper's results for this model: not in our table.
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
advantage=negative   # NSR · positive: PSR · weighted: W-REINFORCE · the others: docs/methods.md
positive_advantage_weight=0.1   # λ, for W-REINFORCE only
lr=1e-6
steps=50

launch --config-name=psr_nsr base_model=qwen3-4b machine=$machine \
    algorithm.advantage=$advantage \
    algorithm.positive_advantage_weight=$positive_advantage_weight \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name="qwen3-4b-$advantage" \
    trainer.total_training_steps=$steps "$@"
