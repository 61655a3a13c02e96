#!/usr/bin/env bash
# GRPO on SmolLM2-135M-Instruct, on this machine's CPU.   bash run_smollm2-135m_grpo.sh [key=value …]
# Before: scripts/prepare_smollm2 && scripts/prepare_data --task chain_sum:max_terms=2 --output data/smollm2-135m
set -euo pipefail
cd "$(dirname "$0")" && source scripts/env_cpu.sh && source scripts/launch.sh

lr=1e-6
kl_loss_coef=0.001
positive_learning_weight=null   # a weight below 1 on the loss of correct samples
steps=30

launch --config-name=grpo base_model=smollm2-135m machine=cpu \
    algorithm.positive_learning_weight=$positive_learning_weight \
    actor_rollout_ref.actor.optim.lr=$lr \
    actor_rollout_ref.actor.kl_loss_coef=$kl_loss_coef \
    trainer.experiment_name=smollm2-135m-grpo \
    trainer.total_training_steps=$steps \
    trainer.save_freq=$steps \
    trainer.test_freq=$steps "$@"
