"""Estimates from counts: pass@k, maj@k, accuracy and solved shares, with intervals, and paired differences of two models.

    pass@k = mean over questions of 1 − C(n − c, k) / C(n, k)              (:mod:`rlvr.pass_at_k`, the one that training reports)

Intervals are 95 % percentile bootstraps over questions (10,000 resamples, fixed seed): they say how far the figure would move
with other questions of this kind. They do not contain the noise of the samples within a question, which 256 samples make small,
and they are too narrow where every question agrees (30 of 30 solved gives 100 to 100). Deliberately left out: tests of
significance; the paired interval is what to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passk.majority import majority_at_k
from passk.tally import QuestionTally, Tally
from rlvr.pass_at_k import pass_at_k, powers_of_two

RESAMPLES = 10_000
CONFIDENCE = 95.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistic:
    """A mean over ``questions`` questions and its interval."""

    value: float
    low: float
    high: float
    questions: int


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


@dataclass(frozen=True)
class Difference:
    """pass@k of ``name`` minus pass@k of ``baseline`` on the questions that both have."""

    name: str
    baseline: str
    pass_at_k: dict[int, Statistic]
    accuracy: Statistic


def default_ks(tally: Tally) -> tuple[int, ...]:
    """1, 2, 4, … up to the most usable samples that any of its questions has."""
    return tuple(powers_of_two(max((question.n for question in tally.questions.values()), default=0)))


def estimate(name: str, tally: Tally, ks: Sequence[int], majority: bool) -> Estimate:
    """All figures of one file; questions without a usable sample are left out, pass@k uses those with n >= k.

    ``majority`` asks for maj@k too: milliseconds a question, where all the rest takes microseconds.

    Raises:
        ValueError: if no question has a usable sample, or fewer than k have any, for some k.
    """
    used = [question for question in tally.questions.values() if question.n]
    if not used:
        raise ValueError(f"{name}: no question has a usable sample")
    n = np.array([question.n for question in used])
    c = np.array([question.c for question in used])
    if max(ks) > n.max():
        raise ValueError(f"{name}: pass@{max(ks)} needs {max(ks)} samples of a question, the most is {n.max()}")
    columns = [pass_column(n, c, k) for k in ks]
    votes = [_majority(question, ks) for question in used] if majority else []
    majority_columns = [(_masked(column), np.isfinite(column).astype(float)) for column in np.array(votes).T]
    one = np.ones(len(used))
    shares = [(c > 0, one), (c == 0, one), (c == n, one)]
    statistics = _bootstrap([*columns, *majority_columns, (c, n), *shares])
    return Estimate(
        name=name,
        questions=len(used),
        samples=int(n.sum()),
        samples_per_question=(int(n.min()), int(n.max())),
        pass_at_k=dict(zip(ks, statistics)),
        maj_at_k=dict(zip(ks, statistics[len(ks) :])) if votes else {},
        accuracy=statistics[-4],
        solved_at_least_once=statistics[-3],
        solved_never=statistics[-2],
        solved_always=statistics[-1],
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
    pairs = [(tally.questions[key], baseline.questions[key]) for key in shared]
    n, c, other_n, other_c = np.array([(a.n, a.c, b.n, b.c) for a, b in pairs]).T
    columns = []
    possible = [k for k in ks if (np.minimum(n, other_n) >= k).any()]
    for k in possible:
        (value, has), (other_value, other_has) = pass_column(n, c, k), pass_column(other_n, other_c, k)
        both = has * other_has
        columns.append(((value - other_value) * both, both))
    columns.append((c / n - other_c / other_n, np.ones(len(shared))))
    statistics = _bootstrap(columns)
    return Difference(name, baseline_name, dict(zip(possible, statistics)), statistics[-1])


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


def _bootstrap(columns: Sequence[tuple[NDArray, NDArray]]) -> list[Statistic]:
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
