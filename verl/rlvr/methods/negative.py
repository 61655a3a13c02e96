"""NSR, negative sample reinforcement: learn only from incorrect samples, A = −1.

    L_NSR(θ) = E_x [ Σ_{y: r(x,y)=0} π_θ(y|x) ]         (L_NSR of the paper, https://arxiv.org/abs/2506.01347)

Takes probability from the tokens of incorrect answers and hands it to all others in proportion to what the model already
believes, so the prior is refined instead of replaced and pass@k is kept at large k. When every sample of a step is correct
there is nothing to learn from: the step is skipped.
"""

import torch

from rlvr.methods.mode import Mode


def learns_from(correct: torch.Tensor) -> torch.Tensor:
    return ~correct


def advantage(correct: torch.Tensor, positive_advantage_weight: float) -> torch.Tensor:
    return -(~correct).float()


NEGATIVE = Mode("negative", learns_from, advantage)
