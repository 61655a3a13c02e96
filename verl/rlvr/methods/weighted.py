"""W-REINFORCE: learn from all samples, A = λ on correct ones and −1 on incorrect ones.

    L_W-REINFORCE(θ) = λ · L_PSR(θ) + L_NSR(θ)          (the paper, https://arxiv.org/abs/2506.01347)

λ is ``algorithm.positive_advantage_weight``; the paper recommends 0.1. λ = 1 is REINFORCE with rewards ±1, λ = 0 gives correct
samples no gradient but still counts their tokens in the loss's denominator, which NSR with dropped samples does not. There is
always something to learn from, except that a step of only correct samples with λ = 0 has a zero gradient.
"""

import torch

from rlvr.methods.mode import Mode


def learns_from(correct: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(correct)


def advantage(correct: torch.Tensor, positive_advantage_weight: float) -> torch.Tensor:
    return torch.where(correct, positive_advantage_weight, -1.0)


WEIGHTED = Mode("weighted", learns_from, advantage)
