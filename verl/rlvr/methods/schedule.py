"""A weight that may change during training: a number, or a schedule by the step or by the batch's accuracy.

    algorithm.positive_advantage_weight=0.1
    algorithm.positive_advantage_weight='{shape: linear, start: 0.5, end: 0.1, last: 100}'
    algorithm.method.negative_advantage_weight='{shape: cosine, by: accuracy, start: 1, end: 0.2}'
    algorithm.method.negative_advantage_weight='{shape: piecewise, points: [[1, 1.0], [50, 0.5]]}'

Adaptive negative sample reinforcement (A-NSR, https://arxiv.org/abs/2605.07137) anneals the weight of the negatives in this way.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

SHAPES = ("linear", "cosine", "piecewise")
BY = ("step", "accuracy")


class SettingError(ValueError):
    """A setting that a method cannot have; one line."""

    def __init__(self, name: str, value: Any, problem: str):
        super().__init__(f"{name}={value} {problem}")


@dataclass(frozen=True)
class Schedule:
    """``start`` at x = ``first``, ``end`` at x = ``last`` and between them a line or half a cosine; outside, the nearer end.

    Attributes:
        shape: ``linear``, ``cosine`` or ``piecewise``.
        by: what x is: the training ``step`` (from 1), or the ``accuracy`` of the step's batch (0 to 1).
        points: of ``piecewise``: (x, value) in order; a value holds from its x to the next one, the first also before.
    """

    shape: str
    by: str = "step"
    start: float = 1.0
    end: float = 0.0
    first: float = 1.0
    last: float = 1.0
    points: tuple[tuple[float, float], ...] = ()

    def at(self, step: int, accuracy: float) -> float:
        """The weight in this step."""
        x = step if self.by == "step" else accuracy
        if self.shape == "piecewise":
            return [value for where, value in self.points if where <= x or where == self.points[0][0]][-1]
        done = min(max((x - self.first) / (self.last - self.first), 0.0), 1.0)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * done


Weight = float | Schedule


def weight_at(value: Weight, step: int, accuracy: float) -> float:
    """The number that a weight is in this step."""
    return value.at(step, accuracy) if isinstance(value, Schedule) else value


def weight(name: str, value: Any) -> Weight:
    """A weight from its configuration.

    Raises:
        SettingError: if it is neither a number that is not negative nor a schedule of such.
    """
    if isinstance(value, Schedule):
        return value
    if not isinstance(value, Mapping):
        if not _is_weight(value):
            raise SettingError(name, value, "must be a number that is not negative, or a schedule (docs/methods.md)")
        return float(value)
    given = dict(value)
    shape, by = given.pop("shape", None), given.pop("by", "step")
    if shape not in SHAPES or by not in BY:
        raise SettingError(name, value, f"needs shape: one of {', '.join(SHAPES)}, and by: one of {', '.join(BY)}")
    if shape == "piecewise":
        points = given.pop("points", None)
        if given or not _are_points(points):
            raise SettingError(
                name, value, "needs points: [[x, value], …], x rising, no value negative, and nothing else"
            )
        return Schedule(shape, by, points=tuple((float(x), float(y)) for x, y in points))
    first = given.pop("first", 1 if by == "step" else 0)
    last = given.pop("last", None if by == "step" else 1)
    start, end = given.pop("start", None), given.pop("end", None)
    if given or not _is_weight(start) or not _is_weight(end):
        raise SettingError(
            name, value, "needs start and end, numbers that are not negative, and may have first and last"
        )
    if not _is_weight(first) or not _is_weight(last) or not first < last:
        raise SettingError(name, value, f"needs last, the {by} at which it reaches its end, above first={first}")
    return Schedule(shape, by, float(start), float(end), float(first), float(last))


def _is_weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _are_points(points: Any) -> bool:
    if not isinstance(points, Sequence) or isinstance(points, str) or not points:
        return False
    if not all(isinstance(p, Sequence) and len(p) == 2 and all(map(_is_weight, p)) for p in points):
        return False
    return all(a[0] < b[0] for a, b in pairwise(points))
