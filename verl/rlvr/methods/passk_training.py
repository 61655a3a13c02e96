"""Pass@k training: the advantage of a sample is what the groups of k that it is in are worth, on average over all of them.

    ρ = 1 − C(G−c, k)/C(G, k),  σ = √(ρ(1 − ρ))                                   (https://arxiv.org/abs/2508.10751, analytical)
    correct: (1 − ρ)/σ,   incorrect: (1 − ρ − C(G−c−1, k−1)/C(G−1, k−1))/σ

ρ is the unbiased pass@k of the question, a reward that groups of k share; k = 1 is GRPO with the biased deviation. Assumes k ≤ G.
Where every group of k holds a right answer (G − c < k) or none does, σ = 0 and all advantages are 0; so they are in a group of
fewer than k samples, of which pass@k says nothing.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import EPSILON, Batch, Method
from rlvr.methods.schedule import SettingError


@dataclass(frozen=True)
class PassKTraining(Method):
    title = "pass@k training"
    on_correct, on_incorrect, paper = "(1 − ρ)/σ", "(1 − ρ − C(G−c−1, k−1)/C(G−1, k−1))/σ", "2508.10751"
    k: int = 4

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SettingError("k", self.k, "must be 1 or more")

    def advantages(self, batch: Batch) -> torch.Tensor:
        wrong = batch.size - batch.solved
        fails = share_of_draws(wrong, batch.size, self.k)  # 1 − ρ
        fails_with_this = share_of_draws(wrong - 1, batch.size - 1, self.k - 1)
        std = (fails * (1 - fails)).sqrt()
        advantages = torch.where(batch.correct, fails, fails - fails_with_this) / (std + EPSILON)
        return torch.where((std > 0) & (batch.size >= self.k), advantages, 0.0)


def share_of_draws(among: torch.Tensor, total: torch.Tensor, k: int) -> torch.Tensor:
    """C(among, k)/C(total, k), elementwise; 0 where ``among`` < k."""
    share = torch.ones_like(total)
    for i in range(k):
        share = share * (among - i).clamp(min=0) / (total - i).clamp(min=1)
    return share
