"""Are two expressions the same number, or the same function? Exact rationals where possible, else two working precisions.

Without variables the values are compared. With variables both are evaluated at the same pseudo-random rational points: unequal
values at one point disprove, equal ones at all points prove beyond reasonable doubt (Schwartz-Zippel; polynomials and rational
functions are evaluated exactly). Points are positive first, so that sqrt(5x^3) is x·sqrt(5x), then of mixed signs, so that
|x| is not x; where a value is not real, only the positive points count. Where a variable counts something (a factorial, a
binomial, a power of -1), its points are positive integers.

Irrational numbers are compared relatively, never with an absolute tolerance: both are evaluated to 60 and to 120 digits, the change
between the two measures the rounding noise, and they are equal if their difference shrinks with it. A sum that loses a term to
rounding (1 - e^{-1000}) is evaluated again, to 1,500 and 3,000 digits; what cannot be told apart then is not equal. All work is
bounded: what would need a number of more than ``MAX_BITS`` bits raises :class:`TooBig`. Deliberately left out: simplification.
"""

import random
import threading
from fractions import Fraction
from typing import Any

import mpmath

from rlvr.verify.arithmetic import Evaluation, TooBig, Undefined
from rlvr.verify.expression import Node

__all__ = ["TooBig", "Undefined", "close", "number", "same", "symbols"]

LEVELS = ((60, 120), (1500, 3000))  # decimal digits; the second only where the first loses something
SLACK = 15  # digits by which rounding noise may differ from what was measured
POSITIVE_POINTS = 2
MIXED_POINTS = 2

_local = threading.local()


def context(digits: int) -> Any:
    """mpmath's contexts are not shared between threads."""
    contexts = _local.__dict__.setdefault("contexts", {})
    if digits not in contexts:
        contexts[digits] = mpmath.MPContext()
        contexts[digits].dps = digits
    return contexts[digits]


def same(left: Node, right: Node) -> bool | None:
    """Whether both trees mean the same; None if no point decides.

    Raises:
        TooBig: if a value is out of bounds, or cannot be told apart from the other.
        Undefined: if one has no value at all.
    """
    names = sorted(symbols(left) | symbols(right))
    if not names:
        return close(left, right, {})[0]
    whole = counting(left) | counting(right)
    agreed = defined = 0
    for k in range(POSITIVE_POINTS + MIXED_POINTS):
        point = {name: integer(name, k) if name in whole else coordinate(name, k) for name in names}
        try:
            equal, real = close(left, right, point)
        except Undefined:
            continue
        defined += 1
        if equal:
            agreed += 1
        elif k < POSITIVE_POINTS or real:
            return False
    if not defined:
        raise Undefined("at every point")
    return True if agreed >= POSITIVE_POINTS else None


def close(left: Node, right: Node, point: dict[str, Fraction]) -> tuple[bool, bool]:
    """(whether both have the same value at a point, whether both values are real).

    Raises:
        TooBig, Undefined: as :func:`same`.
    """
    for level in LEVELS:
        coarse, fine = (Evaluation(context(digits), point) for digits in level)
        a, b = fine.value(left), fine.value(right)
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return a == b, True
        a, b = fine.inexact(a), fine.inexact(b)
        if fine.lost:
            continue
        rough_a, rough_b = coarse.inexact(coarse.value(left)), coarse.inexact(coarse.value(right))
        ctx = fine.ctx
        noise = max(abs(a - rough_a), abs(b - rough_b), max(abs(a), abs(b)) * ctx.mpf(10) ** -level[0])
        tolerance = noise * ctx.mpf(10) ** (SLACK - (level[1] - level[0]))
        return bool(abs(a - b) <= tolerance), fine.is_real(a) and fine.is_real(b)
    raise TooBig("cannot be told apart")


def number(node: Node) -> Any:
    """The value of a tree without symbols: a Fraction, or an mpmath number of 120 digits.

    Raises:
        TooBig, Undefined: as :func:`same`.
    """
    return Evaluation(context(LEVELS[0][1]), {}).value(node)


def coordinate(name: str, k: int) -> Fraction:
    rng = random.Random(f"{name} {k}")
    value = Fraction(rng.randint(40, 400), rng.choice((101, 103, 107, 109, 113)))
    return -value if k >= POSITIVE_POINTS and (k % 2 == 0 or rng.random() < 0.5) else value


def integer(name: str, k: int) -> Fraction:
    return Fraction(random.Random(f"{name} {k}").randint(3, 40))


def symbols(node: Node) -> set[str]:
    if node[0] == "sym":
        return {node[1]}
    return {name for child in node[1:] if isinstance(child, tuple) for name in symbols(child)}


def counting(node: Node) -> set[str]:
    """The variables that stand for integers: in a factorial, a binomial, a remainder, or the exponent of a negative number."""
    found: set[str] = set()
    if node[0] == "call" and node[1] in ("factorial", "factorial2", "binomial", "mod", "gcd", "lcm"):
        found |= symbols(node)
    if node[0] == "pow" and not symbols(node[1]) and symbols(node[2]) and _negative(node[1]):
        found |= symbols(node[2])
    return found.union(*(counting(child) for child in node[1:] if isinstance(child, tuple)))


def _negative(node: Node) -> bool:
    """-1, as it is read: a number, or minus one times it."""
    return (node[0] == "num" and node[1] < 0) or (node[0] == "mul" and node[1] == ("num", Fraction(-1)))
