"""W-REINFORCE: learn from all samples, A = λ on correct ones and −1 on incorrect ones.

    L_W-REINFORCE(θ) = λ · L_PSR(θ) + L_NSR(θ)          (the paper, https://arxiv.org/abs/2506.01347)

λ is ``algorithm.positive_advantage_weight``; the paper recommends 0.1. λ = 1 is REINFORCE with rewards ±1, λ = 0 gives correct
samples no gradient but still counts their tokens in the loss's denominator, which NSR with dropped samples does not. There is
always something to learn from, except that a step of only correct samples with λ = 0 has a zero gradient. Both weights may
follow a schedule.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method
from rlvr.methods.schedule import Weight, weight_at


@dataclass(frozen=True)
class Weighted(Method):
    title = "W-REINFORCE"
    grouped = False
    on_correct, on_incorrect, paper = "λ", "−1", "2506.01347"
    positive_advantage_weight: Weight = 0.1
    negative_advantage_weight: Weight = 1.0

    def advantages(self, batch: Batch) -> torch.Tensor:
        positive = weight_at(self.positive_advantage_weight, batch.step, batch.accuracy)
        negative = weight_at(self.negative_advantage_weight, batch.step, batch.accuracy)
        return torch.where(batch.correct, positive, -negative).double()

    def learns_from(self, batch: Batch, advantages: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(batch.correct)
