"""Which samples of a step are learned from, decided before any log-prob, reference, critic or actor work.

``algorithm.sample_selection``:

- ``drop`` (default, as the paper's code): PSR keeps correct samples, NSR incorrect ones, W-REINFORCE all. Loss denominators and
  the number of mini-batches count only what is kept, and what is dropped costs nothing more.
- ``mask``: all samples are kept, the others with advantage zero. Not the same: their tokens still count in the denominator,
  and a step always has its full number of mini-batches.

GRPO and PPO keep everything in both.
"""

import torch

from rlvr.methods import MODES

SELECTIONS = ("drop", "mask")
ESTIMATOR = "psr_nsr"


def keep(correct: torch.Tensor, adv_estimator: str, advantage: str, sample_selection: str) -> torch.Tensor:
    """``correct`` (samples,) bool -> (samples,) bool: True where the sample stays in the step."""
    if sample_selection == "mask":
        return torch.ones_like(correct)
    return effective(correct, adv_estimator, advantage)


def effective(correct: torch.Tensor, adv_estimator: str, advantage: str) -> torch.Tensor:
    """``correct`` (samples,) bool -> (samples,) bool: True where the sample can have a gradient under the mode."""
    if adv_estimator != ESTIMATOR:
        return torch.ones_like(correct)
    return MODES[advantage].learns_from(correct)
