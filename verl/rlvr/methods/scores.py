"""The one place that says what a reward means: 1 is correct, 0 is incorrect, anything else is an error."""

import torch


def is_correct(scores: torch.Tensor) -> torch.Tensor:
    """``scores`` (samples,) -> (samples,) bool.

    Raises:
        ValueError: if a score is neither 0 nor 1 (NaN included).
    """
    wrong = scores[(scores != 0) & (scores != 1)]
    if wrong.numel():
        raise ValueError(f"a verifiable reward is 0 or 1, got {wrong[0].item()}")
    return scores == 1
