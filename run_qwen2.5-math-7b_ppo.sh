#!/usr/bin/env bash
# PPO with a critic on Qwen2.5-Math-7B, MATH.   [DRY_RUN=1] bash run_qwen2.5-math-7b_ppo.sh [key=value …]
# Steps: about 110 (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper, pass@1 / pass@256 (base: MATH 63.2 / 96.9 · AIME 2025 6.1 / 46.7 · AMC 23 41.0 / 100):
#   MATH 76.6 / 96.3 · AIME 2025 8.5 / 43.3 · AMC 23 62.0 / 97.5
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
positive_learning_weight=null   # a weight below 1 on the loss of correct samples
kl_coef=0.001
lr=1e-6
critic_lr=1e-5
steps=110

launch --config-name=ppo base_model=qwen2.5-math-7b machine=$machine \
    algorithm.positive_learning_weight=$positive_learning_weight \
    algorithm.kl_ctrl.kl_coef=$kl_coef \
    actor_rollout_ref.actor.optim.lr=$lr \
    critic.optim.lr=$critic_lr \
    trainer.experiment_name=qwen2.5-math-7b-ppo \
    trainer.total_training_steps=$steps "$@"
