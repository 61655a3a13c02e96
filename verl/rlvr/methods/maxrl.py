"""MaxRL, maximum likelihood by reinforcement learning: the rarer a right answer, the more it weighs, A = (r − p)/p.

    A = (r − p)/p: (1 − p)/p on correct samples, −1 on incorrect ones             (https://arxiv.org/abs/2602.02710)

It is W-REINFORCE with a λ of its own for each question, λ = (1 − p)/p, but for questions that nothing solves: the bridge between
the paper and what followed. With many samples a question, its expectation is the gradient of log p, the likelihood of a right
answer, instead of p. Where no answer is right every advantage is 0, where all are right too.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method


@dataclass(frozen=True)
class MaxRL(Method):
    title = "MaxRL"
    on_correct, on_incorrect, paper = "(1 − p)/p", "−1, 0 where p = 0", "2602.02710"

    def advantages(self, batch: Batch) -> torch.Tensor:
        return torch.where(batch.p > 0, (batch.rewards - batch.p) / batch.p, 0.0)
