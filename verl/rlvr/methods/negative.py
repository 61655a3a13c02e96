"""NSR, negative sample reinforcement: learn only from incorrect samples, A = −1.

    L_NSR(θ) = E_x [ Σ_{y: r(x,y)=0} π_θ(y|x) ]         (L_NSR of the paper, https://arxiv.org/abs/2506.01347)

Takes probability from the tokens of incorrect answers and hands it to all others in proportion to what the model already
believes, so the prior is refined instead of replaced and pass@k is kept at large k. When every sample of a step is correct
there is nothing to learn from: the step is skipped. ``negative_advantage_weight`` scales the −1, by a schedule if wanted (A-NSR,
https://arxiv.org/abs/2605.07137); where it is 0, the step is skipped too.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method
from rlvr.methods.schedule import Weight, weight_at


@dataclass(frozen=True)
class Negative(Method):
    title = "NSR"
    grouped = False
    on_correct, on_incorrect, paper = "0", "−1", "2506.01347"
    negative_advantage_weight: Weight = 1.0

    def advantages(self, batch: Batch) -> torch.Tensor:
        return (batch.rewards - 1) * weight_at(self.negative_advantage_weight, batch.step, batch.accuracy)
