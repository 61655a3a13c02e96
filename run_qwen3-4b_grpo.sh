#!/usr/bin/env bash
# GRPO on Qwen3-4B without thinking, MATH.   [DRY_RUN=1] bash run_qwen3-4b_grpo.sh [key=value …]
# Steps: about 50 (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper's results for this model: not in our table.
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
positive_learning_weight=null   # a weight below 1 on the loss of correct samples
kl_loss_coef=0.001
lr=1e-6
steps=50

launch --config-name=grpo base_model=qwen3-4b machine=$machine \
    algorithm.positive_learning_weight=$positive_learning_weight \
    actor_rollout_ref.actor.kl_loss_coef=$kl_loss_coef \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name=qwen3-4b-grpo \
    trainer.total_training_steps=$steps "$@"
