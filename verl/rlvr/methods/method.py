"""What a method is: the advantage of every sample of a step, a pure function of the whole batch and of its own settings.

A method is a frozen dataclass. Its fields are its settings (``algorithm.method.*``), each an ``int``, a ``float`` or a
:data:`~rlvr.methods.schedule.Weight`, with the default; :meth:`Method.advantages` is its formula. Only samples count here, not
tokens: every response token of a sample gets the sample's advantage, and the discount is 1. r ∈ {0, 1} is a sample's reward, G
the samples of its question, c of them correct, p = c/G.

Deliberately left out: tokens, log-probs and everything of the engine. What needs those is a loss (:mod:`rlvr.methods.losses`).
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch

from rlvr.methods.schedule import SettingError, Weight, weight

EPSILON = 1e-6  # added to a standard deviation before it divides, as verl's GRPO does


@dataclass(frozen=True)
class Batch:
    """The samples of a step, in any order; all tensors are (samples,) and float64 unless said.

    Attributes:
        rewards: r of each sample, 0 or 1.
        groups: int64, the question of each sample, counted from 0. Groups may differ in size: a rollout may have failed.
        step: the training step, counted from 1.
    """

    rewards: torch.Tensor
    groups: torch.Tensor
    step: int = 1

    @cached_property
    def correct(self) -> torch.Tensor:
        """bool."""
        return self.rewards == 1

    @cached_property
    def size(self) -> torch.Tensor:
        """G of each sample's question."""
        return torch.bincount(self.groups).double()[self.groups]

    @cached_property
    def solved(self) -> torch.Tensor:
        """c of each sample's question."""
        return torch.bincount(self.groups, weights=self.rewards)[self.groups]

    @cached_property
    def p(self) -> torch.Tensor:
        """c/G of each sample's question."""
        return self.solved / self.size

    @cached_property
    def accuracy(self) -> float:
        """Share of correct samples in the batch."""
        return self.rewards.mean().item()


class Method(ABC):
    """A method. ``title`` to ``paper`` (a number of arXiv) are its row in the documentation's table."""

    grouped: ClassVar[bool] = True  # whether it compares the samples of a question with each other
    title: ClassVar[str]
    on_correct: ClassVar[str]
    on_incorrect: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def advantages(self, batch: Batch) -> torch.Tensor:
        """The advantage of each sample, (samples,); zero where there is nothing to learn."""

    def learns_from(self, batch: Batch, advantages: torch.Tensor) -> torch.Tensor:
        """(samples,) bool: what stays in the step under ``sample_selection=drop``."""
        return advantages != 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Method":
        """The method with these settings, the others at their defaults.

        Raises:
            SettingError: if the method has no such setting, or its value is of the wrong type or out of range; one line.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for name in settings:
            if name not in fields:
                has = f"its settings are {', '.join(fields)}" if fields else "it has none"
                raise SettingError(name, settings[name], f"is no setting of this method: {has}")
        return cls(**{name: CONVERTERS[fields[name].type](name, value) for name, value in settings.items()})


def whole_number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingError(name, value, "must be a whole number")
    return value


def number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingError(name, value, "must be a number")
    return float(value)


CONVERTERS: dict[Any, Any] = {int: whole_number, float: number, Weight: weight}
