"""What a tree is worth at a point: exact fractions where possible, else mpmath at one precision, in bounded time and memory.

An :class:`Evaluation` remembers whether rounding lost anything that was not zero (a term far below the other, a fraction with
more digits than the precision): its values may then not be trusted to differ, or to agree. What cancels to rounding noise is
zero. Deliberately left out: which precision is enough, and what is equal (:mod:`rlvr.verify.value`).
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rlvr.verify.expression import Node

Value = Any  # Fraction, mpf or mpc

MAX_BITS = 20_000
MAX_LOG = 1_000_000  # bits of the largest magnitude of an inexact number
MAX_ARGUMENT = 200  # bits of the largest argument of a function
MAX_FACTORIAL = 20_000
MAX_DEGREE = 1000
GUARD = 20  # decimal digits of the precision that may be noise
TRUSTED = 1000  # digits from which on what cancels to noise is zero; before, it is looked at again


class TooBig(ValueError):
    """Evaluation would cost more than an answer is worth."""


class Undefined(ValueError):
    """Division by zero, a logarithm of zero and the like."""


class Evaluation:
    """Values at one point, to the precision of an mpmath context; ``lost`` says whether rounding dropped something."""

    def __init__(self, ctx: Any, point: Mapping[str, Fraction]) -> None:
        self.ctx = ctx
        self.point = point
        self.lost = False
        self.operations = {"add": self.add, "mul": self.mul, "div": self.div, "pow": self.power, "root": self.root}

    def value(self, node: Node) -> Value:
        """The value of a tree where its symbols have the values of the point.

        Raises:
            TooBig, Undefined: if it has none, or none within bounds.
        """
        kind = node[0]
        if kind == "num":
            return node[1]
        if kind == "sym":
            return self.point[node[1]]
        if kind == "const":
            return {"pi": self.ctx.pi, "e": self.ctx.e, "i": self.ctx.j}[node[1]] * 1
        values = [self.value(child) for child in node[1:] if isinstance(child, tuple)]
        try:
            value = self.call(node[1], values) if kind == "call" else self.operations[kind](*values)
        except (TooBig, Undefined):
            raise
        except (ZeroDivisionError, ValueError, OverflowError, TypeError) as error:
            raise Undefined(str(error)) from error
        return self.bounded(value)

    # ---- numbers

    def bounded(self, value: Value) -> Value:
        if isinstance(value, Fraction):
            return value if bits(value) <= MAX_BITS else self.bounded(self.inexact(value))
        if not self.ctx.isfinite(value):
            raise Undefined("not finite")
        if value != 0 and abs(self.ctx.mag(value)) > MAX_LOG:
            raise TooBig("magnitude")
        return value

    def inexact(self, value: Value) -> Value:
        if isinstance(value, Fraction):
            self.lost |= bits(value) > self.ctx.prec
            return self.ctx.mpf(value.numerator) / value.denominator
        return self.ctx.convert(value)

    def is_real(self, value: Value) -> bool:
        if isinstance(value, Fraction):
            return True
        return abs(self.ctx.im(value)) <= max(1, abs(value)) * self.ctx.mpf(10) ** (GUARD - self.ctx.dps)

    def both(self, a: Value, b: Value) -> tuple[Value, Value]:
        return (a, b) if isinstance(a, Fraction) and isinstance(b, Fraction) else (self.inexact(a), self.inexact(b))

    def noise(self, scale: Value) -> Value:
        return abs(scale) * self.ctx.mpf(10) ** (GUARD - self.ctx.dps)

    # ---- arithmetic

    def add(self, a: Value, b: Value) -> Value:
        if a == 0 or b == 0:
            return b if a == 0 else a
        a, b = self.both(a, b)
        total = a + b
        if isinstance(total, Fraction):
            return total
        small, large = sorted((abs(a), abs(b)))
        if small < self.noise(large):
            self.lost = True
        return self.cancelled() if abs(total) <= self.noise(large) else total

    def cancelled(self) -> Fraction:
        self.lost |= self.ctx.dps < TRUSTED
        return Fraction(0)

    def mul(self, a: Value, b: Value) -> Value:
        a, b = self.both(a, b)
        return a * b

    def div(self, a: Value, b: Value) -> Value:
        a, b = self.both(a, b)
        if b == 0:
            raise Undefined("division by zero")
        return a / b

    def power(self, base: Value, exponent: Value) -> Value:
        if base == 0 and exponent == 0:
            raise Undefined("0^0")
        if isinstance(exponent, Fraction):
            if exponent.denominator == 1:
                return self.integer_power(base, int(exponent))
            if exponent.denominator <= MAX_DEGREE:
                return self.integer_power(self.root(Fraction(exponent.denominator), base), exponent.numerator)
        base, exponent = self.inexact(base), self.inexact(exponent)
        if base == 0:
            if self.is_real(exponent) and self.ctx.re(exponent) > 0:
                return Fraction(0)
            raise Undefined("a power of zero")
        if abs(exponent) * (abs(self.ctx.mag(base)) + 5) > MAX_LOG:
            raise TooBig("power")
        self.tiny(exponent)
        return self.ctx.power(base, exponent)

    def integer_power(self, base: Value, exponent: int) -> Value:
        if base == 0 and exponent < 0:
            raise Undefined("division by zero")
        if base in (0, 1):
            return base
        size = bits(base) if isinstance(base, Fraction) else abs(self.ctx.mag(base)) + 1
        if isinstance(base, Fraction) and abs(exponent) * size <= MAX_BITS:
            return base**exponent
        if abs(exponent) * size > MAX_LOG:
            raise TooBig("power")
        return self.inexact(base) ** exponent

    def root(self, degree: Value, value: Value) -> Value:
        if not isinstance(degree, Fraction) or degree.denominator != 1 or not 0 < degree <= MAX_DEGREE:
            return self.power(value, self.div(Fraction(1), degree))
        n = int(degree)
        if isinstance(value, Fraction):
            if value < 0 and n % 2:
                return -self.root(degree, -value)
            if value >= 0 and (exact := exact_root(n, value)) is not None:
                return exact
        elif n % 2 and self.is_real(value) and self.ctx.re(value) < 0:
            return -self.ctx.root(-self.ctx.re(value), n)
        value = self.inexact(value)
        return self.ctx.root(self.ctx.re(value) if self.is_real(value) else value, n)

    # ---- functions

    def call(self, name: str, values: list[Value]) -> Value:
        if name in COUNTED:
            return COUNTED[name](self, *map(self.whole, values)) if name != "mod" else self.remainder(*values)
        if name in ("max", "min"):
            return max(values) if name == "max" else min(values)
        (x,) = values
        if name == "abs":
            return abs(x)
        if name in ("floor", "ceil"):
            return self.rounded(name, x)
        x = self.inexact(x)
        if name in ("ln", "log10"):
            if x == 0:
                raise Undefined("logarithm of zero")
            x = self.ctx.re(x) if self.is_real(x) else x
            return self.ctx.ln(x) if name == "ln" else self.ctx.log10(x)
        if abs(x) > MAX_LOG if name in EXPONENTIAL else x != 0 and self.ctx.mag(x) > MAX_ARGUMENT:
            raise TooBig(name)
        self.tiny(x)
        if name == "tanh" and abs(self.ctx.re(x)) > self.ctx.dps:
            self.lost = True
        value = getattr(self.ctx, MPMATH.get(name, name))(x)
        # cos(pi/2): what is left of a value of size one is rounding
        return self.cancelled() if name in CIRCULAR and abs(x) > 1e-6 and abs(value) <= self.noise(1) else value

    def tiny(self, x: Value) -> None:
        """cos x, exp x and the like are 1 to the precision where x is almost zero."""
        if x != 0 and abs(x) < self.ctx.mpf(10) ** (-self.ctx.dps // 2):
            self.lost = True

    def rounded(self, name: str, x: Value) -> Value:
        if not isinstance(x, Fraction):
            if not self.is_real(x):
                raise Undefined(f"{name} of a complex number")
            x = self.ctx.re(x)
            if abs(x - self.ctx.nint(x)) <= self.noise(max(1, abs(x))) or self.ctx.mag(x) > MAX_ARGUMENT:
                raise TooBig("rounding an inexact number")
            return Fraction(int(self.ctx.floor(x) if name == "floor" else self.ctx.ceil(x)))
        return Fraction(math.floor(x) if name == "floor" else math.ceil(x))

    def whole(self, value: Value) -> int:
        """An argument that must be a whole number."""
        if not isinstance(value, Fraction):
            nearest = Fraction(int(self.ctx.nint(self.ctx.re(value)))) if abs(value) < 10**6 else None
            if nearest is None or abs(value - self.inexact(nearest)) > self.noise(max(1, abs(value))):
                raise Undefined("not an integer")
            value = nearest
        if value.denominator != 1:
            raise Undefined("not an integer")
        return int(value)

    def remainder(self, a: Value, b: Value) -> Value:
        if not (isinstance(a, Fraction) and isinstance(b, Fraction)) or b == 0:
            raise Undefined("remainder")
        return a - b * math.floor(a / b)

    def factorial(self, n: int) -> Value:
        if n < 0:
            raise Undefined("factorial of a negative number")
        if n > MAX_FACTORIAL:
            raise TooBig("factorial")
        return Fraction(math.factorial(n)) if n <= 2000 else self.ctx.gamma(n + 1)

    def double_factorial(self, n: int) -> Value:
        if not 0 <= n <= MAX_DEGREE:
            raise TooBig("double factorial")
        return Fraction(math.prod(range(n, 0, -2)))

    def binomial(self, n: int, k: int) -> Value:
        if n < 0 or k < 0:
            raise Undefined("binomial of a negative number")
        if n > 10 * MAX_DEGREE or min(k, n - k) > MAX_DEGREE:
            raise TooBig("binomial")
        return Fraction(math.comb(n, k))


COUNTED: dict[str, Any] = {
    "factorial": Evaluation.factorial,
    "factorial2": Evaluation.double_factorial,
    "binomial": Evaluation.binomial,
    "gcd": lambda _, *values: Fraction(math.gcd(*values)),
    "lcm": lambda _, *values: Fraction(math.lcm(*values)),
    "mod": Evaluation.remainder,
}
EXPONENTIAL = ("exp", "sinh", "cosh", "tanh")
CIRCULAR = ("sin", "cos", "tan", "cot")
MPMATH = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
}  # fmt: skip


def bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def exact_root(n: int, value: Fraction) -> Fraction | None:
    parts = []
    for part in (value.numerator, value.denominator):
        # floats find the candidate only where they are exact enough
        candidate = math.isqrt(part) if n == 2 else round(part ** (1 / n)) if part < 2**52 else -1
        if candidate < 0 or candidate**n != part:
            return None
        parts.append(candidate)
    return Fraction(*parts)
