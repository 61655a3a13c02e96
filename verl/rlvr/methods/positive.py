"""PSR, positive sample reinforcement: learn only from correct samples, A = 1.

    L_PSR(θ) = −E_x [ Σ_{y: r(x,y)=1} π_θ(y|x) ]        (L_PSR of the paper, https://arxiv.org/abs/2506.01347)

Raises pass@1 and narrows the distribution: every token of a sampled correct answer gains probability at the expense of all
others, so entropy falls and pass@k suffers at large k. When no sample of a step is correct there is nothing to learn from: the
step is skipped.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method


@dataclass(frozen=True)
class Positive(Method):
    title = "PSR"
    grouped = False
    on_correct, on_incorrect, paper = "1", "0", "2506.01347"

    def advantages(self, batch: Batch) -> torch.Tensor:
        return batch.rewards
