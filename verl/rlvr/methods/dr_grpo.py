"""Dr. GRPO: GRPO without the division by the standard deviation, A = r − p.

    A = r − p                                                                     (https://arxiv.org/abs/2503.20783)

Without the division very easy and very hard questions do not weigh more than their answers deserve. The paper also sums the loss
over tokens divided by a constant (``actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm``). Where all answers are right,
or all wrong, every advantage is 0.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method


@dataclass(frozen=True)
class DrGRPO(Method):
    title = "Dr. GRPO"
    on_correct, on_incorrect, paper = "1 − p", "−p", "2503.20783"

    def advantages(self, batch: Batch) -> torch.Tensor:
        return batch.rewards - batch.p
