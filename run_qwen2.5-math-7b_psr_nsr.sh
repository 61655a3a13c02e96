#!/usr/bin/env bash
# PSR, NSR or W-REINFORCE on Qwen2.5-Math-7B, MATH.   [DRY_RUN=1] bash run_qwen2.5-math-7b_psr_nsr.sh [key=value …]
# Steps: about 110 (7 an epoch). Hardware: 8 GPUs of 80 GB; others in docs/hardware.md. Not run by us: no GPU was at hand.
# The paper, pass@1 / pass@256 (base: MATH 63.2 / 96.9 · AIME 2025 6.1 / 46.7 · AMC 23 41.0 / 100):
#   PSR          MATH 74.1 / 91.2 · AIME 2025 11.6 / 43.3 · AMC 23 62.6 / 92.5
#   NSR          MATH 75.7 / 96.9 · AIME 2025 10.0 / 53.3 · AMC 23 60.9 / 100
#   W-REINFORCE  MATH 76.6 / 96.7 · AIME 2025 10.6 / 56.7 · AMC 23 62.0 / 97.5
set -euo pipefail
cd "$(dirname "$0")" && source scripts/launch.sh

machine=${MACHINE:-node8}   # gpu24, gpu48, gpu80, gpu141, node8, nodes: configs/machine
advantage=negative   # NSR · positive: PSR · weighted: W-REINFORCE · the others: docs/methods.md
positive_advantage_weight=0.1   # λ, for W-REINFORCE only
lr=1e-6
steps=110

launch --config-name=psr_nsr base_model=qwen2.5-math-7b machine=$machine \
    algorithm.advantage=$advantage \
    algorithm.positive_advantage_weight=$positive_advantage_weight \
    actor_rollout_ref.actor.optim.lr=$lr \
    trainer.experiment_name="qwen2.5-math-7b-$advantage" \
    trainer.total_training_steps=$steps "$@"
