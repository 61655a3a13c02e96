#!/usr/bin/env bash
# PSR, NSR or W-REINFORCE on SmolLM2-135M-Instruct, on this machine's CPU.   bash run_smollm2-135m_psr_nsr.sh [key=value …]
# Before: scripts/prepare_smollm2 && scripts/prepare_data --task chain_sum:max_terms=2 --output data/smollm2-135m
set -euo pipefail
cd "$(dirname "$0")" && source scripts/env_cpu.sh && source scripts/launch.sh

advantage=negative   # NSR · positive: PSR · weighted: W-REINFORCE · the others: docs/methods.md
positive_advantage_weight=0.1   # λ, for W-REINFORCE only
lr=1e-6
steps=30

launch --config-name=psr_nsr base_model=smollm2-135m machine=cpu \
    algorithm.advantage=$advantage \
    algorithm.positive_advantage_weight=$positive_advantage_weight \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name="smollm2-135m-$advantage" \
    trainer.total_training_steps=$steps \
    trainer.save_freq=$steps \
    trainer.test_freq=$steps "$@"
