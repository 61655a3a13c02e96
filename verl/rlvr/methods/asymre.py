"""AsymRE, asymmetric REINFORCE: a constant baseline V instead of the mean, A = r − V.

    A = r − V,  ``algorithm.method.baseline`` = V                                 (https://arxiv.org/abs/2506.20520)

V says which samples count more: V = 0 is PSR, V = 1 is NSR, V = 1/2 weighs both alike, V < 0 pushes even incorrect samples up. The
paper shows that off-policy a V below the expected reward only improves, and one above it may collapse. No group matters and
none is degenerate; only a sample with r = V has no advantage.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method


@dataclass(frozen=True)
class AsymRE(Method):
    title = "AsymRE"
    grouped = False
    on_correct, on_incorrect, paper = "1 − V", "−V", "2506.20520"
    baseline: float = 0.1

    def advantages(self, batch: Batch) -> torch.Tensor:
        return batch.rewards - self.baseline
