"""Are two expressions the same number, or the same function? Exact rationals where possible, else 60 decimal digits.

Without variables the values are compared. With variables both are evaluated at the same pseudo-random rational points: unequal
values at one point disprove, equal ones at all points prove beyond reasonable doubt (Schwartz-Zippel; polynomials and rational
functions are evaluated exactly). Points are positive first, so that sqrt(5x^3) is x·sqrt(5x), then of mixed signs, so that
|x| is not x; where a value is not real, only the positive points count. Integers have no tolerance. All work is bounded:
what would need a number of more than ``MAX_BITS`` bits raises :class:`TooBig`. Deliberately left out: simplification.
"""

import math
import random
import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath

from rlvr.verify.expression import Node

Value = Any  # Fraction, mpf or mpc

DIGITS = 60
RELATIVE = mpmath.mpf(10) ** -45
ABSOLUTE = mpmath.mpf(10) ** -50
MAX_BITS = 20_000
MAX_LOG = 1_000_000  # bits of the largest magnitude of an inexact number
MAX_FACTORIAL = 1000
POSITIVE_POINTS = 2
MIXED_POINTS = 2


class TooBig(ValueError):
    """Evaluation would cost more than an answer is worth."""


class Undefined(ValueError):
    """Division by zero, a logarithm of zero and the like."""


_local = threading.local()


def context() -> Any:
    """mpmath's contexts change their precision while they compute: one a thread."""
    if not hasattr(_local, "context"):
        _local.context = mpmath.MPContext()
        _local.context.dps = DIGITS
    return _local.context


def same(left: Node, right: Node) -> bool | None:
    """Whether both trees mean the same; None if no point decides.

    Raises:
        TooBig: if a value is out of bounds.
        Undefined: if one has no value at all.
    """
    names = sorted(symbols(left) | symbols(right))
    if not names:
        return close(evaluate(left, {}), evaluate(right, {}))
    agreed = defined = 0
    for k in range(POSITIVE_POINTS + MIXED_POINTS):
        point = {name: coordinate(name, k) for name in names}
        try:
            a, b = evaluate(left, point), evaluate(right, point)
        except Undefined:
            continue
        defined += 1
        if close(a, b):
            agreed += 1
        elif k < POSITIVE_POINTS or (is_real(a) and is_real(b)):
            return False
    if not defined:
        raise Undefined("at every point")
    return True if agreed >= POSITIVE_POINTS else None


def coordinate(name: str, k: int) -> Fraction:
    rng = random.Random(f"{name} {k}")
    value = Fraction(rng.randint(40, 400), rng.choice((101, 103, 107, 109, 113)))
    return -value if k >= POSITIVE_POINTS and (k % 2 == 0 or rng.random() < 0.5) else value


def symbols(node: Node) -> set[str]:
    if node[0] == "sym":
        return {node[1]}
    return {name for child in node[1:] if isinstance(child, tuple) for name in symbols(child)}


def close(a: Value, b: Value) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    ctx = context()
    a, b = inexact(a), inexact(b)
    difference = abs(a - b)
    return bool(difference <= RELATIVE * max(abs(a), abs(b)) or difference <= ABSOLUTE) and bool(
        ctx.isfinite(difference)
    )


def is_real(value: Value) -> bool:
    return isinstance(value, Fraction) or abs(context().im(value)) <= ABSOLUTE


def evaluate(node: Node, point: Mapping[str, Fraction]) -> Value:
    """The value of a tree where its symbols have the values of ``point``."""
    kind = node[0]
    if kind == "num":
        return node[1]
    if kind == "sym":
        return point[node[1]]
    if kind == "const":
        ctx = context()
        return {"pi": ctx.pi, "e": ctx.e, "i": ctx.j}[node[1]] * 1
    values = [evaluate(child, point) for child in node[1:] if isinstance(child, tuple)]
    try:
        value = call(node[1], values) if kind == "call" else ARITHMETIC[kind](*values)
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        if isinstance(error, (TooBig, Undefined)):
            raise
        raise Undefined(str(error)) from error
    return bounded(value)


def bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        return value if bits(value) <= MAX_BITS else bounded(inexact(value))
    if not context().isfinite(value):
        raise Undefined("not finite")
    if value != 0 and abs(context().mag(value)) > MAX_LOG:
        raise TooBig("magnitude")
    return value


def bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def inexact(value: Value) -> Value:
    if isinstance(value, Fraction):
        ctx = context()
        return ctx.mpf(value.numerator) / value.denominator
    return value


def both(a: Value, b: Value) -> tuple[Value, Value]:
    return (a, b) if isinstance(a, Fraction) and isinstance(b, Fraction) else (inexact(a), inexact(b))


def add(a: Value, b: Value) -> Value:
    a, b = both(a, b)
    return a + b


def mul(a: Value, b: Value) -> Value:
    a, b = both(a, b)
    return a * b


def div(a: Value, b: Value) -> Value:
    a, b = both(a, b)
    if b == 0:
        raise Undefined("division by zero")
    return a / b


def power(base: Value, exponent: Value) -> Value:
    if base == 0 and exponent == 0:
        raise Undefined("0^0")
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            return integer_power(base, int(exponent))
        if exponent.denominator <= MAX_FACTORIAL:
            return integer_power(root(Fraction(exponent.denominator), base), exponent.numerator)
    base, exponent = inexact(base), inexact(exponent)
    if base == 0:
        if is_real(exponent) and context().re(exponent) > 0:
            return Fraction(0)
        raise Undefined("a power of zero")
    if abs(exponent) * (abs(context().mag(base)) + 5) > MAX_LOG:
        raise TooBig("power")
    return context().power(base, exponent)


def integer_power(base: Value, exponent: int) -> Value:
    if base == 0 and exponent < 0:
        raise Undefined("division by zero")
    if base in (0, 1):
        return base
    size = bits(base) if isinstance(base, Fraction) else abs(context().mag(base)) + 1
    if isinstance(base, Fraction) and abs(exponent) * size <= MAX_BITS:
        return base**exponent
    if abs(exponent) * size > MAX_LOG:
        raise TooBig("power")
    return inexact(base) ** exponent


def root(degree: Value, value: Value) -> Value:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 0 < degree <= MAX_FACTORIAL:
        return power(value, div(Fraction(1), degree))
    n = int(degree)
    if isinstance(value, Fraction):
        if value < 0 and n % 2:
            return -root(degree, -value)
        if value >= 0 and (exact := exact_root(n, value)) is not None:
            return exact
    elif n % 2 and is_real(value) and context().re(value) < 0:
        return -context().root(-context().re(value), n)
    return context().root(inexact(value), n)


def exact_root(n: int, value: Fraction) -> Fraction | None:
    parts = []
    for part in (value.numerator, value.denominator):
        # floats find the candidate only where they are exact enough
        candidate = math.isqrt(part) if n == 2 else round(part ** (1 / n)) if part < 2**52 else -1
        if candidate < 0 or candidate**n != part:
            return None
        parts.append(candidate)
    return Fraction(*parts)


def call(name: str, values: list[Value]) -> Value:
    if name in ("factorial", "binomial"):
        return counted(name, values)
    (x,) = values
    ctx = context()
    if name == "abs":
        return abs(x)
    if name in ("floor", "ceil"):
        if not isinstance(x, Fraction):
            raise TooBig("rounding an inexact number")
        return Fraction(math.floor(x) if name == "floor" else math.ceil(x))
    x = inexact(x)
    if name in ("exp", "sinh", "cosh", "tanh"):
        if abs(x) > MAX_LOG:
            raise TooBig(name)
    elif x != 0 and ctx.mag(x) > 200 and name not in ("ln", "log10"):
        raise TooBig(name)
    if name in ("ln", "log10"):
        if x == 0:
            raise Undefined("logarithm of zero")
        return ctx.ln(x) if name == "ln" else ctx.log10(x)
    return getattr(ctx, {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(name, name))(x)


def counted(name: str, values: list[Value]) -> Value:
    numbers = []
    for value in values:
        if not isinstance(value, Fraction):
            value = nearest(value)
        if value.denominator != 1 or value < 0:
            raise Undefined(f"{name} of {value}")
        numbers.append(int(value))
    if numbers[0] > (MAX_FACTORIAL if name == "factorial" else 10 * MAX_FACTORIAL):
        raise TooBig(name)
    if name == "factorial":
        return Fraction(math.factorial(numbers[0]))
    if min(numbers[1], numbers[0] - numbers[1]) > MAX_FACTORIAL:
        raise TooBig(name)
    return Fraction(math.comb(*numbers))


def nearest(value: Value) -> Fraction:
    number = context().nint(context().re(value)) if is_real(value) and abs(value) < 10**6 else None
    if number is None or not close(value, Fraction(int(number))):
        raise Undefined("not an integer")
    return Fraction(int(number))


ARITHMETIC = {"add": add, "mul": mul, "div": div, "pow": power, "root": root}
