"""The way a method takes through the plane (pass@1, pass@k) while it trains, and two methods at the same pass@1.

    path = method_path("nsr", base, [{5: tally(FILE), 10: tally(FILE)}, …], ks=(16, 64, 256))      # one mapping a seed
    matched(path, other)      # pass@k of path minus pass@k of other where both have the same pass@1

A path begins at the base model and goes through the evaluated checkpoints in the order of their steps; each point is a mean
over seeds and questions, and between two checkpoints it is a straight line. Its value at a pass@1 is where it reaches that pass@1
for the first time, as if training had stopped there. Two methods are compared over their common range: from the base's pass@1 to
the highest that both reach. The first coordinate may be another one (entropy lost, samples seen, tokens trained on), one number
a checkpoint and seed.

Intervals are 95 % percentile bootstraps over questions and seeds (10,000 resamples, fixed numbers): each resample draws the
questions once for both methods, and the seeds of each on their own; the paths, the common range and all that follows are made
anew from them. Pure functions of arrays; shapes are named by R resamples, S seeds, T checkpoints with the base, Q questions, K
values of k, M levels. Deliberately left out: curves fitted through the checkpoints, and values beyond a path's last checkpoint.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from passk.estimate import CONFIDENCE, RESAMPLES, Statistic
from passk.seeds import common_questions, table
from passk.tally import Tally

Floats = NDArray[np.float64]

Key = int | str  # a k of pass@k, or the name of another value that a path carries

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the common range, at which differences are given
PARTS = 64  # of the common range, whose middles make a mean over it
CHUNK = 1000  # resamples at a time: memory


@dataclass(frozen=True)
class Path:
    """One method. The first checkpoint is the base model, at step 0."""

    name: str
    steps: tuple[int, ...]  # (T,)
    ks: tuple[Key, ...]  # (K,)
    coordinate: Floats  # (S, T, Q) such as pass@1, or (S, T, 1) such as the entropy lost
    values: Floats  # (S, T, Q, K) pass@k of every question

    def __post_init__(self) -> None:
        seeds, steps, questions, ks = self.values.shape
        if (steps, ks) != (len(self.steps), len(self.ks)) or self.coordinate.shape not in (
            (seeds, steps, questions),
            (seeds, steps, 1),
        ):
            raise ValueError(f"{self.name}: coordinate {self.coordinate.shape} does not fit values {self.values.shape}")

    @property
    def seeds(self) -> int:
        return self.values.shape[0]

    @property
    def questions(self) -> int:
        return self.values.shape[2]

    def along(self, coordinate: Sequence[Sequence[float]]) -> "Path":
        """The same checkpoints over another first coordinate: one number a seed and checkpoint, (S, T).

        Raises:
            ValueError: if there are not as many.
        """
        return replace(self, coordinate=np.asarray(coordinate, dtype=float)[:, :, None])

    def carrying(self, what: str, values: Sequence[Sequence[float]]) -> "Path":
        """Another value over the same coordinate, such as entropy: one number a seed and checkpoint, (S, T)."""
        every = np.asarray(values, dtype=float)[:, :, None, None]
        return replace(self, ks=(what,), values=np.broadcast_to(every, (*self.values.shape[:3], 1)))


@dataclass(frozen=True)
class Point:
    """One checkpoint: the mean of the coordinate, and pass@k by k."""

    step: int
    coordinate: Statistic
    pass_at_k: dict[Key, Statistic]


@dataclass(frozen=True)
class Matched:
    """pass@k of ``name`` minus that of ``baseline`` at the same coordinate; by k."""

    name: str
    baseline: str
    start: float  # the base's coordinate
    levels: tuple[float, ...]  # (M,) the coordinate at SHARES of the common range
    at: dict[Key, tuple[Statistic, ...]]  # (M,) at these levels
    mean: dict[Key, Statistic]  # over the common range


@dataclass(frozen=True)
class Reach:
    """How far a method comes, and what it holds on the way; by k where there is one."""

    name: str
    gain: Statistic  # the highest coordinate minus the base's
    area: dict[Key, Statistic]  # under the path: the integral of pass@k from the base's coordinate to the highest


def method_path(name: str, base: Tally, runs: Sequence[Mapping[int, Tally]], ks: Sequence[int]) -> Path:
    """A path over pass@1, from the base's samples and those of the checkpoints of each seed.

    Raises:
        ValueError: if there is no run, the runs have other checkpoints or other questions, or a question misses samples.
    """
    if not runs:
        raise ValueError(f"{name}: no run")
    steps = tuple(sorted(runs[0]))
    if any(tuple(sorted(run)) != steps for run in runs):
        raise ValueError(f"{name}: the seeds were evaluated at different checkpoints")
    ordered = [[base, *(run[step] for step in steps)] for run in runs]
    every = {
        f"{name}, seed {seed}, place {place}": one for seed, row in enumerate(ordered) for place, one in enumerate(row)
    }
    ids = common_questions(every)
    columns = np.array([table(row, ids, [1, *ks])[:, :, : 1 + len(ks)] for row in ordered])
    return Path(name, (0, *steps), tuple(ks), columns[..., 0], columns[..., 1:])


def first_reached(x: Floats, y: Floats, levels: Floats) -> Floats:
    """y where x first reaches each level, on straight lines between the points; not a number where it never does.

    Args:
        x: (R, T) the coordinate of the points in order.
        y: (R, T, K) their values.
        levels: (R, M); those below x of the first point have no value.

    Returns:
        (R, M, K).
    """
    reached = x[:, None, :] >= levels[:, :, None]  # (R, M, T)
    after = reached.argmax(axis=2)  # the first point at or above the level; 0 also where there is none
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(x))[:, None]
    low, high = x[rows, before], x[rows, after]  # (R, M)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(after > 0, (levels - low) / (high - low), 0.0)[..., None]
    found = y[rows, before] * (1 - share) + y[rows, after] * share
    exists = reached.any(axis=2) & ((after > 0) | (x[:, :1] == levels))
    return np.where(exists[..., None], found, np.nan)


def trace(path: Path) -> list[Point]:
    """Every checkpoint with its intervals."""
    x_parts, y_parts = zip(*(_means(path, *draw) for draw in _draws(path.questions, path.seeds)))
    x, y = np.concatenate(x_parts), np.concatenate(y_parts)
    x_middle, y_middle = (one[0] for one in _point(path))
    points = []
    for index, step in enumerate(path.steps):
        by_k = {
            k: _statistic(y_middle[index, column], y[:, index, column], path.questions)
            for column, k in enumerate(path.ks)
        }
        points.append(Point(step, _statistic(x_middle[index], x[:, index], path.questions), by_k))
    return points


def matched(one: Path, other: Path) -> Matched | None:
    """``one`` minus ``other`` at the same coordinate, paired by question; None if they have no common range above the base.

    In a resample without a common range both stand at the base, and their difference is 0.

    Raises:
        ValueError: if they have other questions or other k.
    """
    if one.ks != other.ks or one.questions != other.questions:
        raise ValueError(f"{one.name} and {other.name} do not have the same questions and k")
    (x, y), (other_x, other_y) = _point(one), _point(other)
    start, end = _common(x, other_x)
    if end[0] <= start[0]:
        return None
    middle = _differences(x, y, other_x, other_y)[0]  # (M + 1, K)
    drawn = []
    for weights, seeds, other_seeds in _draws(one.questions, one.seeds, other.seeds):
        drawn.append(_differences(*_means(one, weights, seeds), *_means(other, weights, other_seeds)))
    every = np.concatenate(drawn)  # (R, M + 1, K)
    by_k = {
        k: [_statistic(middle[level, column], every[:, level, column], one.questions) for level in range(len(middle))]
        for column, k in enumerate(one.ks)
    }
    levels = tuple(_levels(start, end, np.array(SHARES))[0].tolist())
    return Matched(
        name=one.name,
        baseline=other.name,
        start=float(start[0]),
        levels=levels,
        at={k: tuple(found[:-1]) for k, found in by_k.items()},
        mean={k: found[-1] for k, found in by_k.items()},
    )


def after_training(one: Path, other: Path | None = None) -> dict[Key, Statistic]:
    """The values of the last checkpoint minus those of ``other``'s last, or minus the base's; paired by question."""
    (_, y), (_, other_y) = _point(one), _point(other or one)
    middle = y[0, -1] - other_y[0, -1 if other else 0]
    drawn = []
    for weights, seeds, other_seeds in _draws(one.questions, one.seeds, (other or one).seeds):
        _, values = _means(one, weights, seeds)
        minus = _means(other, weights, other_seeds)[1][:, -1] if other else values[:, 0]
        drawn.append(values[:, -1] - minus)
    every = np.concatenate(drawn)
    return {k: _statistic(middle[column], every[:, column], one.questions) for column, k in enumerate(one.ks)}


def reach(path: Path) -> Reach:
    """The highest coordinate minus the base's, and the area under the path up to it; both 0 for a path that only falls."""
    gain, area = _reach(*_point(path))
    drawn = [_reach(*_means(path, *draw)) for draw in _draws(path.questions, path.seeds)]
    gains, areas = (np.concatenate(parts) for parts in zip(*drawn))
    by_k = {k: _statistic(area[0, column], areas[:, column], path.questions) for column, k in enumerate(path.ks)}
    return Reach(path.name, _statistic(gain[0], gains, path.questions), by_k)


def _reach(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """((R,) gains, (R, K) areas)"""
    start, end = x[:, 0], x.max(axis=1)
    gain = end - start
    return gain, gain[:, None] * _over_range(x, y, start, end)


def _differences(x: Floats, y: Floats, other_x: Floats, other_y: Floats) -> Floats:
    """(R, M + 1, K): at each of SHARES of the common range, and last the mean over it."""
    start, end = _common(x, other_x)
    levels = _levels(start, end, np.array(SHARES))
    at = first_reached(x, y, levels) - first_reached(other_x, other_y, levels)
    mean = _over_range(x, y, start, end) - _over_range(other_x, other_y, start, end)
    every = np.concatenate([at, mean[:, None]], axis=1)
    return np.where((end > start)[:, None, None], every, 0.0)


def _common(x: Floats, other_x: Floats) -> tuple[Floats, Floats]:
    """((R,) where the common range begins, (R,) where it ends): both paths begin at the base."""
    return np.maximum(x[:, 0], other_x[:, 0]), np.minimum(x.max(axis=1), other_x.max(axis=1))


def _levels(start: Floats, end: Floats, shares: Floats) -> Floats:
    """(R, M) at these shares of the range; rounding does not carry the last beyond its end."""
    return np.minimum(start[:, None] + (end - start)[:, None] * shares, end[:, None])


def _over_range(x: Floats, y: Floats, start: Floats, end: Floats) -> Floats:
    """(R, K): the mean of a path's values over a range of its coordinate."""
    middles = (np.arange(PARTS) + 0.5) / PARTS
    return first_reached(x, y, _levels(start, end, middles)).mean(axis=1)


def _means(path: Path, question_weights: Floats, seed_weights: Floats) -> tuple[Floats, Floats]:
    """((R, T) coordinate, (R, T, K) values) under weights of questions (R, Q) and seeds (R, S) that add up to 1."""
    seeds, steps, questions, ks = path.values.shape
    by_question = path.values.transpose(2, 0, 1, 3).reshape(questions, -1)
    values = (question_weights @ by_question).reshape(-1, seeds, steps, ks)
    if path.coordinate.shape[2] == 1:
        coordinate = seed_weights @ path.coordinate[:, :, 0]
    else:
        flat = path.coordinate.transpose(2, 0, 1).reshape(questions, -1)
        coordinate = np.einsum("rst,rs->rt", (question_weights @ flat).reshape(-1, seeds, steps), seed_weights)
    return coordinate, np.einsum("rstk,rs->rtk", values, seed_weights)


def _point(path: Path) -> tuple[Floats, Floats]:
    """The means themselves, as one resample."""
    questions = np.full((1, path.questions), 1 / path.questions)
    return _means(path, questions, np.full((1, path.seeds), 1 / path.seeds))


def _draws(questions: int, *seeds: int) -> Iterator[tuple[Floats, ...]]:
    """Weights of the questions and of each method's seeds, CHUNK resamples at a time; the same every time."""
    generator = np.random.default_rng(0)
    for _ in range(RESAMPLES // CHUNK):
        drawn = [generator.multinomial(n, np.full(n, 1 / n), size=CHUNK) / n for n in (questions, *seeds)]
        yield tuple(drawn)


def _statistic(value: float, drawn: Floats, questions: int) -> Statistic:
    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Statistic(float(value), float(low), float(high), questions)
