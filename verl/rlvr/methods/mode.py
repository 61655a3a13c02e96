"""What an advantage mode is: which samples it learns from, and the advantage of each.

Only samples count here, not tokens: every response token of a sample gets the sample's advantage. There is no baseline and no
normalisation, and the discount is 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Mode:
    """An advantage mode.

    Attributes:
        name: value of ``algorithm.advantage``.
        learns_from: ``correct (samples,) bool -> (samples,) bool``; True where the mode learns from the sample.
        advantage: ``correct (samples,) bool, λ -> (samples,) float32``; zero where the mode does not learn.
    """

    name: str
    learns_from: Callable[[torch.Tensor], torch.Tensor]
    advantage: Callable[[torch.Tensor, float], torch.Tensor]
