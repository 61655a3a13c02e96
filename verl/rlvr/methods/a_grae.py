"""A-GRAE: GRPO's advantage with more weight on easy questions early and on hard ones late, and less on what is right already.

    A₀ = (r − p)/s,   A = (1 − m)·½·A₀/(1 − √p) + m·½·A₀/√p,   A > 0 also times min(1, m/α)      (https://arxiv.org/abs/2602.05548)

m is the batch's accuracy, s the unbiased standard deviation of the question's rewards. Equations 11 to 13 of the paper, with one
difference: it prints √(1 − p) where its code, followed here, has 1 − √p. α is 1 on mathematics, 0.5 in its other runs. Where p is 0
or 1, every advantage is 0; a batch without a right answer (m = 0) teaches nothing.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import EPSILON, Batch, Method
from rlvr.methods.schedule import SettingError


@dataclass(frozen=True)
class AGRAE(Method):
    title = "A-GRAE"
    on_correct, on_incorrect, paper = "A·min(1, m/α)", "A = ½A₀·((1 − m)/(1 − √p) + m/√p)", "2602.05548"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise SettingError("alpha", self.alpha, "must be above 0 and at most 1")

    def advantages(self, batch: Batch) -> torch.Tensor:
        p, m = batch.p, batch.accuracy
        std = (batch.size * p * (1 - p) / (batch.size - 1).clamp(min=1)).sqrt()
        grpo = (batch.rewards - p) / (std + EPSILON)
        easy, hard = 0.5 * grpo / (1 - p.sqrt() + EPSILON), 0.5 * grpo / (p.sqrt() + EPSILON)
        advantages = (1 - m) * easy + m * hard
        return torch.where(advantages > 0, advantages * min(1.0, m / self.alpha), advantages)
