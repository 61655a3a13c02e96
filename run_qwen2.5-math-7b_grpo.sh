#!/usr/bin/env bash
# GRPO on Qwen2.5-Math-7B, MATH.   [DRY_RUN=1] bash run_qwen2.5-math-7b_grpo.sh [key=value …]
# Steps: about 110 (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper, pass@1 / pass@256 (base: MATH 63.2 / 96.9 · AIME 2025 6.1 / 46.7 · AMC 23 41.0 / 100):
#   MATH 76.3 / 95.5 · AIME 2025 10.3 / 50.0 · AMC 23 61.7 / 97.5
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
positive_learning_weight=null   # a weight below 1 on the loss of correct samples
kl_loss_coef=0.001
lr=1e-6
steps=110

launch --config-name=grpo base_model=qwen2.5-math-7b machine=$machine \
    algorithm.positive_learning_weight=$positive_learning_weight \
    actor_rollout_ref.actor.kl_loss_coef=$kl_loss_coef \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name=qwen2.5-math-7b-grpo \
    trainer.total_training_steps=$steps "$@"
