"""Which samples of a step are learned from, and with which advantage, decided once for the whole batch before anything is dropped.

``algorithm.sample_selection``:

- ``drop`` (default, as the paper's code): what the method gives no advantage leaves the step before any log-prob, reference, critic
  or actor work. Loss denominators and the number of mini-batches count only what is kept, and what is dropped costs nothing more.
- ``mask``: all samples are kept, the others with advantage zero. Not the same: their tokens still count in the denominator,
  and a step always has its full number of mini-batches.

GRPO, PPO and upstream's other estimators compute their own advantages later and keep everything in both.

``algorithm.zero_variance`` is about questions of whose samples all, or none, are right: ``drop`` takes them out of the step and
``keep`` leaves them in it, whatever else is set; ``null`` leaves it to the two above.
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method

SELECTIONS = ("drop", "mask")
ZERO_VARIANCE = ("drop", "keep")
ESTIMATOR = "psr_nsr"


@dataclass(frozen=True)
class Selection:
    """All (samples,).

    Attributes:
        advantages: float32; zero where nothing is learned. None of an estimator of upstream's.
        kept: bool, what stays in the step.
        effective: bool, what of it can have a gradient.
    """

    advantages: torch.Tensor | None
    kept: torch.Tensor
    effective: torch.Tensor


def select(
    batch: Batch,
    learnable: torch.Tensor,
    method: Method | None,
    sample_selection: str = "drop",
    zero_variance: str | None = None,
) -> Selection:
    """Decide for every sample of a step.

    Args:
        batch: all samples.
        learnable: (samples,) bool; the others do not count, as if their rollouts had failed (:mod:`rlvr.incorrect`).
        method: None for an estimator of upstream's.
        sample_selection: ``drop`` or ``mask``.
        zero_variance: ``drop``, ``keep`` or None.
    """
    counted = Batch(batch.rewards[learnable], batch.groups[learnable], batch.step)
    advantages, learned = None, learnable.clone()
    if method is not None and len(counted.rewards):
        values = method.advantages(counted)
        advantages = torch.zeros(len(learnable))
        advantages[learnable] = values.float()
        learned[learnable] = method.learns_from(counted, values)
    elif method is not None:
        advantages = torch.zeros(len(learnable))
    masked = method is not None and sample_selection == "mask"
    kept = torch.ones_like(learnable) if masked else learned
    if zero_variance is not None:
        alike = torch.zeros_like(learnable)
        alike[learnable] = without_variance(counted)
        kept = kept & ~alike if zero_variance == "drop" else kept | alike
    return Selection(advantages, kept, learned & kept)


def without_variance(batch: Batch) -> torch.Tensor:
    """(samples,) bool: all samples of its question have the same reward."""
    return (batch.solved == 0) | (batch.solved == batch.size)
