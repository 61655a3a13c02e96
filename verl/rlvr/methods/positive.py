"""PSR, positive sample reinforcement: learn only from correct samples, A = 1.

    L_PSR(θ) = −E_x [ Σ_{y: r(x,y)=1} π_θ(y|x) ]        (L_PSR of the paper, https://arxiv.org/abs/2506.01347)

Raises pass@1 and narrows the distribution: every token of a sampled correct answer gains probability at the expense of all
others, so entropy falls and pass@k suffers at large k. When no sample of a step is correct there is nothing to learn from: the
step is skipped.
"""

import torch

from rlvr.methods.mode import Mode


def learns_from(correct: torch.Tensor) -> torch.Tensor:
    return correct


def advantage(correct: torch.Tensor, positive_advantage_weight: float) -> torch.Tensor:
    return correct.float()


POSITIVE = Mode("positive", learns_from, advantage)
