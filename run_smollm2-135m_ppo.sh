#!/usr/bin/env bash
# PPO with a critic on SmolLM2-135M-Instruct, on this machine's CPU.   bash run_smollm2-135m_ppo.sh [key=value …]
# Before: scripts/prepare_smollm2 && scripts/prepare_data --task chain_sum:max_terms=2 --output data/smollm2-135m
set -euo pipefail
cd "$(dirname "$0")" && source scripts/env_cpu.sh && source scripts/launch.sh

lr=1e-6
critic_lr=1e-5
kl_coef=0.001
positive_learning_weight=null   # a weight below 1 on the loss of correct samples
steps=30

launch --config-name=ppo base_model=smollm2-135m machine=cpu \
    algorithm.positive_learning_weight=$positive_learning_weight \
    algorithm.kl_ctrl.kl_coef=$kl_coef \
    actor_rollout_ref.actor.optim.lr=$lr \
    critic.optim.lr=$critic_lr \
    trainer.experiment_name=smollm2-135m-ppo \
    trainer.total_training_steps=$steps \
    trainer.save_freq=$steps \
    trainer.test_freq=$steps "$@"
