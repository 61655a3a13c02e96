"""The methods' formulas once more, as plain as can be: what one sample of a question gets, from its counts."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """A question has ``n`` samples, ``c`` of them right; ``m`` is the share of right ones in the whole batch."""

    n: int
    c: int
    m: float

    @property
    def p(self) -> float:
        return self.c / self.n


EPSILON = 1e-6


def z_score(q: Counts, r: int, virtual: int = 0) -> float:
    """Of reward ``r``, with so many rewards of 1 more."""
    rewards = [1] * (q.c + virtual) + [0] * (q.n - q.c)
    if len(rewards) == 1:
        return 0.0
    return (r - statistics.mean(rewards)) / (statistics.stdev(rewards) + EPSILON)


def passk_training(q: Counts, r: int, k: int = 4) -> float:
    def comb(n: int, k: int) -> int:
        return math.comb(n, k) if n >= 0 else 0

    if q.n < k:
        return 0.0
    fails = comb(q.n - q.c, k) / comb(q.n, k)
    std = math.sqrt(fails * (1 - fails))
    if std == 0:
        return 0.0
    worth = 1 if r else 1 - comb(q.n - q.c - 1, k - 1) / comb(q.n - 1, k - 1)
    return (worth - (1 - fails)) / (std + EPSILON)


def a_grae(q: Counts, r: int) -> float:
    if q.c in (0, q.n):
        return 0.0
    root, grpo = math.sqrt(q.p), z_score(q, r)
    value = 0.5 * grpo * ((1 - q.m) / (1 - root + EPSILON) + q.m / (root + EPSILON))
    return value * min(1, q.m) if value > 0 else value


# method -> (counts, reward of the sample) -> its advantage, at default settings
PLAIN: dict[str, Callable[[Counts, int], float]] = {
    "positive": lambda q, r: float(r),
    "negative": lambda q, r: float(r - 1),
    "weighted": lambda q, r: 0.1 if r else -1.0,
    "maxrl": lambda q, r: (r - q.p) / q.p if q.c else 0.0,
    "ngrpo": lambda q, r: z_score(q, r, virtual=1),
    "passk_training": passk_training,
    "asymre": lambda q, r: r - 0.1,
    "dr_grpo": lambda q, r: r - q.p,
    "rloo": lambda q, r: r - (q.c - r) / (q.n - 1) if q.n > 1 else 0.0,
    "a_grae": a_grae,
    "grpo": z_score,
}
