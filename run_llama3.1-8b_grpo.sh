#!/usr/bin/env bash
# GRPO on Llama-3.1-8B-Instruct, MATH.   [DRY_RUN=1] bash run_llama3.1-8b_grpo.sh [key=value …]
# Steps: not in our table; set to 110, as for Qwen2.5-Math-7B (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper's results for this model: not in our table.
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
positive_learning_weight=null   # a weight below 1 on the loss of correct samples
kl_loss_coef=0.001
lr=1e-6
steps=110

launch --config-name=grpo base_model=llama3.1-8b machine=$machine \
    algorithm.positive_learning_weight=$positive_learning_weight \
    actor_rollout_ref.actor.kl_loss_coef=$kl_loss_coef \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name=llama3.1-8b-grpo \
    trainer.total_training_steps=$steps "$@"
