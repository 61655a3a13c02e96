"""The methods of ``algorithm.adv_estimator=psr_nsr``, one a file: which advantage every sample of a step gets.

    from rlvr.methods import sample_advantages
    sample_advantages("passk_training", rewards=[1, 0, 0, 1], groups=["a", "a", "a", "a"], k=2)

A method's name is the same word everywhere: value of ``algorithm.advantage``, key here, file name, row in docs/methods.md and
test name. To add one: write a file with a :class:`Method`, list it in ``METHODS``. Nothing here imports the engine.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import torch

from rlvr.methods.a_grae import AGRAE
from rlvr.methods.asymre import AsymRE
from rlvr.methods.dr_grpo import DrGRPO
from rlvr.methods.maxrl import MaxRL
from rlvr.methods.method import Batch, Method
from rlvr.methods.negative import Negative
from rlvr.methods.ngrpo import NGRPO
from rlvr.methods.passk_training import PassKTraining
from rlvr.methods.positive import Positive
from rlvr.methods.rloo import RLOO
from rlvr.methods.schedule import SettingError
from rlvr.methods.scores import is_correct
from rlvr.methods.weighted import Weighted

METHODS: dict[str, type[Method]] = {
    "positive": Positive,
    "negative": Negative,
    "weighted": Weighted,
    "maxrl": MaxRL,
    "ngrpo": NGRPO,
    "passk_training": PassKTraining,
    "asymre": AsymRE,
    "dr_grpo": DrGRPO,
    "rloo": RLOO,
    "a_grae": AGRAE,
}

__all__ = ["METHODS", "Batch", "Method", "SettingError", "make", "make_batch", "sample_advantages"]


def sample_advantages(
    method: str,
    rewards: torch.Tensor | Iterable[float],
    groups: torch.Tensor | Iterable[Hashable],
    step: int = 1,
    **settings: Any,
) -> torch.Tensor:
    """The advantage of every sample of a step.

    Args:
        method: a key of ``METHODS``; the formula and its source are in the docstring of the file of that name.
        rewards: (samples,) r of each sample, 0 or 1.
        groups: (samples,) the question of each sample: anything hashable. The samples of a question may lie anywhere, and
            questions may differ in the number of theirs.
        step: the training step, counted from 1; only schedules read it.
        settings: the method's own, named as in ``algorithm.method.*``: ``k`` of ``passk_training``, ``baseline`` of ``asymre``, …

    Returns:
        (samples,) float32. It is added to nothing and multiplied with the log-prob of every response token of the sample.

    Raises:
        ValueError: if the method is unknown, has no such setting or refuses its value; if a reward is neither 0 nor 1; if
            rewards and groups differ in length; if the step is no whole number from 1. One line each.
    """
    return make(method, settings).advantages(make_batch(rewards, groups, step)).float()


def make(method: str, settings: Mapping[str, Any]) -> Method:
    """The method with its settings.

    Raises:
        ValueError: as :func:`sample_advantages`.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    return METHODS[method].from_settings(settings)


def make_batch(
    rewards: torch.Tensor | Iterable[float], groups: torch.Tensor | Iterable[Hashable], step: int = 1
) -> Batch:
    """The samples as methods see them: rewards checked, questions numbered.

    Raises:
        ValueError: as :func:`sample_advantages`.
    """
    values = torch.as_tensor(rewards if isinstance(rewards, torch.Tensor) else list(rewards), dtype=torch.float64)
    ids = groups.tolist() if isinstance(groups, torch.Tensor) else list(groups)
    ids = [one.item() if isinstance(one, torch.Tensor) else one for one in ids]  # tensors hash by identity
    if values.dim() != 1 or len(values) != len(ids):
        raise ValueError(
            f"rewards {tuple(values.shape)} and groups ({len(ids)},) must be of one length, one number a sample"
        )
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise ValueError(f"step={step} must be a whole number from 1")
    numbers: dict[Hashable, int] = {}
    numbered = torch.tensor([numbers.setdefault(one, len(numbers)) for one in ids], dtype=torch.int64)
    return Batch(is_correct(values).double(), numbered, step)
