"""Estimates from counts: pass@k, maj@k, accuracy and solved shares, with intervals, and paired differences of two models.

    pass@k = mean over questions of 1 − C(n − c, k) / C(n, k)              (:mod:`rlvr.pass_at_k`, the one that training reports)

Intervals are 95 % percentile bootstraps over questions (10,000 resamples, fixed seed): they say how far the figure would move
with other questions of this kind. They do not contain the noise of the samples within a question, which 256 samples make small,
and they are too narrow where every question agrees (30 of 30 solved gives 100 to 100). Where t answers of a question were cut at
the length limit and are not right, pass@k is also given as if they were left out (c of n − t), and as if they had been right (c + t
of n). Deliberately left out: tests of significance; the paired interval is what to read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passk.majority import majority_at_k
from passk.tally import QuestionTally, Tally
from rlvr.incorrect import KINDS
from rlvr.pass_at_k import pass_at_k, powers_of_two

RESAMPLES = 10_000
CONFIDENCE = 95.0

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]
Column = tuple[NDArray, NDArray]  # (numerator, denominator) of every question
Columns = dict[tuple[str, Any], Column]  # (group, name in it) -> column


@dataclass(frozen=True)
class Statistic:
    """A mean over ``questions`` questions and its interval."""

    value: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True)
class IfCut:
    """pass@k of other assumptions about the incorrect answers that were cut at the length limit; by k.

    Attributes:
        left_out: without them, on the questions that still have k samples.
        right: as if they were right; of a difference, in both files.
        lowest, highest: of a difference: as if only the baseline's, or only the other's, were right; what a limit that was long
            enough could give lies between.
    """

    left_out: dict[int, Statistic]
    right: dict[int, Statistic]
    lowest: dict[int, Statistic] = field(default_factory=dict)
    highest: dict[int, Statistic] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """One file of samples; the mappings are by k."""

    name: str
    questions: int
    samples: int
    samples_per_question: tuple[int, int]  # fewest, most
    pass_at_k: dict[int, Statistic]
    maj_at_k: dict[int, Statistic]  # empty unless it was asked for
    accuracy: Statistic  # of a sample
    solved_at_least_once: Statistic
    solved_never: Statistic
    solved_always: Statistic
    kinds: dict[str, Statistic] = field(default_factory=dict)  # shares of the samples; empty where they are not known
    if_cut: IfCut | None = None  # None where nobody says which answers were cut


@dataclass(frozen=True)
class Difference:
    """pass@k of ``name`` minus pass@k of ``baseline`` on the questions that both have; shares of the kinds likewise."""

    name: str
    baseline: str
    pass_at_k: dict[int, Statistic]
    accuracy: Statistic
    kinds: dict[str, Statistic] = field(default_factory=dict)
    if_cut: IfCut | None = None


def default_ks(tally: Tally) -> tuple[int, ...]:
    """1, 2, 4, … up to the most usable samples that any of its questions has."""
    return tuple(powers_of_two(max((question.n for question in tally.questions.values()), default=0)))


def check_ks(name: str, ks: Sequence[int], most: int) -> None:
    """``most``: samples of the question of ``name`` that has most.

    Raises:
        ValueError: if they are too few for some k.
    """
    if max(ks) > most:
        raise ValueError(f"{name}: pass@{max(ks)} needs {max(ks)} samples of a question, the most is {most}")


def estimate(name: str, tally: Tally, ks: Sequence[int], majority: bool) -> Estimate:
    """All figures of one file; questions without a usable sample are left out, pass@k uses those with n >= k.

    ``majority`` asks for maj@k too: milliseconds a question, where all the rest takes microseconds.

    Raises:
        ValueError: if no question has a usable sample, or fewer than k have any, for some k.
    """
    used = [question for question in tally.questions.values() if question.n]
    if not used:
        raise ValueError(f"{name}: no question has a usable sample")
    counts = Counts.of(used)
    n, c = counts.n, counts.c
    check_ks(name, ks, int(n.max()))
    one = np.ones(len(used))
    columns: Columns = {("pass", k): pass_column(n, c, k) for k in ks}
    votes = [_majority(question, ks) for question in used] if majority else []
    for k, column in zip(ks, np.array(votes).T):
        columns["maj", k] = (_masked(column), np.isfinite(column).astype(float))
    columns |= {("share", "accuracy"): (c, n), ("share", "once"): (c > 0, one), ("share", "never"): (c == 0, one)}
    columns |= {("share", "always"): (c == n, one)}
    if counts.complete:
        columns |= {("kind", kind): (counts.kinds[kind], n) for kind in KINDS}
    if counts.cut.any() and _cuts_are_told(tally, counts):
        still = [k for k in ks if (counts.left_out[0] >= k).any()]
        columns |= {("left out", k): pass_column(*counts.left_out, k) for k in still}
        columns |= {("right", k): pass_column(*counts.right, k) for k in ks}
    found = _statistics(columns)
    if_cut = IfCut(found("left out"), found("right")) if counts.cut.any() else IfCut(found("pass"), found("pass"))
    return Estimate(
        name=name,
        questions=len(used),
        samples=int(n.sum()),
        samples_per_question=(int(n.min()), int(n.max())),
        pass_at_k=found("pass"),
        maj_at_k=found("maj"),
        accuracy=found("share")["accuracy"],
        solved_at_least_once=found("share")["once"],
        solved_never=found("share")["never"],
        solved_always=found("share")["always"],
        kinds=found("kind"),
        if_cut=if_cut if _cuts_are_told(tally, counts) else None,
    )


def difference(name: str, tally: Tally, baseline_name: str, baseline: Tally, ks: Sequence[int]) -> Difference:
    """The paired difference: each question's own difference, resampled by question.

    Raises:
        ValueError: if the files share no question, or an id means different questions.
    """
    shared = [key for key, question in tally.questions.items() if question.n and _usable(baseline, key)]
    if not shared:
        raise ValueError(f"{name} and {baseline_name} have no question in common")
    for key in shared:
        if tally.questions[key].text != baseline.questions[key].text:
            raise ValueError(f"question {key} of {name} is another question than that of {baseline_name}")
    ours = Counts.of([tally.questions[key] for key in shared])
    base = Counts.of([baseline.questions[key] for key in shared])
    one = np.ones(len(shared))
    columns: Columns = {("share", "accuracy"): (ours.c / ours.n - base.c / base.n, one)}
    possible = [k for k in ks if (np.minimum(ours.n, base.n) >= k).any()]
    columns |= {("pass", k): _minus(ours.as_graded, base.as_graded, k) for k in possible}
    if ours.complete and base.complete:
        columns |= {("kind", kind): (ours.kinds[kind] / ours.n - base.kinds[kind] / base.n, one) for kind in KINDS}
    told = _cuts_are_told(tally, ours) and _cuts_are_told(baseline, base)
    cut = ours.cut.any() or base.cut.any()
    if told and cut:
        still = [k for k in possible if (np.minimum(ours.n - ours.cut, base.n - base.cut) >= k).any()]
        columns |= {("left out", k): _minus(ours.left_out, base.left_out, k) for k in still}
        for k in possible:
            columns["right", k] = _minus(ours.right, base.right, k)
            columns["lowest", k] = _minus(ours.as_graded, base.right, k)
            columns["highest", k] = _minus(ours.right, base.as_graded, k)
    found = _statistics(columns)
    names = ("left out", "right", "lowest", "highest") if cut else ("pass",) * 4
    if_cut = IfCut(*map(found, names)) if told else None
    return Difference(name, baseline_name, found("pass"), found("share")["accuracy"], found("kind"), if_cut)


@dataclass(frozen=True)
class Counts:
    """Of some questions: samples, right ones, and those of each kind, each (questions,)."""

    n: Integers
    c: Integers
    kinds: dict[str, Integers]

    @classmethod
    def of(cls, questions: Sequence[QuestionTally]) -> "Counts":
        n, c = np.array([(question.n, question.c) for question in questions]).T
        return cls(n, c, {kind: np.array([question.of_kind(kind) for question in questions]) for kind in KINDS})

    @property
    def complete(self) -> bool:
        """Whether every incorrect sample has a kind."""
        return bool((self.c + sum(self.kinds.values()) == self.n).all())

    @property
    def cut(self) -> Integers:
        return self.kinds["truncated"]

    @property
    def as_graded(self) -> tuple[Integers, Integers]:
        return self.n, self.c

    @property
    def left_out(self) -> tuple[Integers, Integers]:
        """Without the incorrect samples that were cut."""
        return self.n - self.cut, self.c

    @property
    def right(self) -> tuple[Integers, Integers]:
        """As if the incorrect samples that were cut were right."""
        return self.n, self.c + self.cut


def _cuts_are_told(tally: Tally, counts: Counts) -> bool:
    return counts.complete and tally.told.perhaps_cut == 0


def _minus(ours: tuple[Integers, Integers], base: tuple[Integers, Integers], k: int) -> Column:
    """pass@k of each question minus the baseline's, where both have k samples."""
    (value, has), (other_value, other_has) = pass_column(*ours, k), pass_column(*base, k)
    both = has * other_has
    return (value - other_value) * both, both


def _statistics(columns: Columns) -> Callable[[str], dict[Any, Statistic]]:
    """``found(group)`` gives a group's statistics by the second part of their names."""
    statistics = dict(zip(columns, _bootstrap(list(columns.values()))))
    return lambda group: {name: value for (its_group, name), value in statistics.items() if its_group == group}


def _usable(tally: Tally, key: int | str) -> bool:
    return key in tally.questions and tally.questions[key].n > 0


def pass_column(n: NDArray[np.integer], c: NDArray[np.integer], k: int) -> tuple[Floats, Floats]:
    """(pass@k of each question or 0, whether the question has k samples)."""
    values = np.zeros(len(n))
    for size in np.unique(n[n >= k]):
        rows = n == size
        counts, inverse = np.unique(c[rows], return_inverse=True)
        values[rows] = pass_at_k(int(size), counts, k)[inverse]
    return values, (n >= k).astype(float)


def _majority(question: QuestionTally, ks: Sequence[int]) -> list[float]:
    """maj@k for each k; NaN where the question has fewer samples, or a sample that cannot be used."""
    n = question.n
    if question.unusable:
        return [float("nan")] * len(ks)
    possible = tuple(k for k in ks if k <= n)
    wrong = tuple(sorted(question.wrong.values()))
    values = majority_at_k(question.c, wrong, question.abstained, possible)
    return [*values, *[float("nan")] * (len(ks) - len(possible))]


def _masked(column: Floats) -> Floats:
    return np.nan_to_num(column, nan=0.0)


def _bootstrap(columns: Sequence[Column]) -> list[Statistic]:
    """Each column is (numerator, denominator) of every question; the statistic is the ratio of their sums."""
    numerators = np.stack([np.asarray(column[0], dtype=float) for column in columns], axis=1)
    denominators = np.stack([np.asarray(column[1], dtype=float) for column in columns], axis=1)
    questions = len(numerators)
    generator = np.random.default_rng(0)  # the same file gives the same interval
    chunk = max(1, 20_000 // questions)  # fits in the cache; larger ones are several times slower
    ratios = []
    with np.errstate(invalid="ignore"):  # a k that no resampled question has
        for start in range(0, RESAMPLES, chunk):
            size = min(chunk, RESAMPLES - start)
            picked = generator.integers(questions, size=(size, questions)) + questions * np.arange(size)[:, None]
            drawn = np.bincount(picked.ravel(), minlength=size * questions).reshape(size, questions).astype(float)
            ratios.append((drawn @ numerators) / (drawn @ denominators))
        tail = (100 - CONFIDENCE) / 2
        drawn_ratios = np.concatenate(ratios)
        percentile = np.nanpercentile if np.isnan(drawn_ratios).any() else np.percentile  # the former is far slower
        low, high = percentile(drawn_ratios, [tail, 100 - tail], axis=0)
        values = numerators.sum(axis=0) / denominators.sum(axis=0)
    counts = (denominators > 0).sum(axis=0)
    return [Statistic(*row) for row in zip(values.tolist(), low.tolist(), high.tolist(), counts.tolist())]
