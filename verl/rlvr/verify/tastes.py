"""Equivalences that are a matter of taste (``Policy.accept``), as far as they are arithmetic."""

import re
from fractions import Fraction

from mpmath import mpf

from rlvr.verify.expression import Node, num
from rlvr.verify.tree import Shape
from rlvr.verify.value import TooBig, Undefined, number, same, symbols

DECIMAL = re.compile(r"-?(\d*)\.(\d+)", re.ASCII)
SIGNIFICANT = 6


def percent_fraction(gold: Node, gold_is_percent: bool, found: Node, found_is_percent: bool) -> bool:
    """0.17 for 17 %, and the reverse."""
    if gold_is_percent == found_is_percent:
        return False
    hundred = num(100)
    if gold_is_percent:
        return same(("div", gold, hundred), found) is True
    return same(gold, ("div", found, hundred)) is True


def rounded(gold: Node, found: str) -> bool:
    """Whether ``found`` is a decimal of at least six significant digits that the gold rounds to."""
    decimal = DECIMAL.fullmatch(found.strip())
    if decimal is None or symbols(gold) or len((decimal[1] + decimal[2]).lstrip("0")) < SIGNIFICANT - 1:
        return False
    try:
        value = number(gold)
    except (TooBig, Undefined):
        return False
    half = Fraction(1, 2 * 10 ** len(decimal[2]))
    if isinstance(value, Fraction):
        return abs(value - Fraction(found.strip())) <= half
    return bool(value.imag == 0 and abs(value.real - mpf(found.strip())) <= mpf(half.numerator) / half.denominator)


def base_value(shape: Shape) -> int | None:
    """The number that 506_7 or 251 is; None if it is neither, or has a digit that its base has not."""
    base = int(shape.label) if shape.kind == "base" else 10
    if len(shape.text) > 100 or not 2 <= base <= 36:
        return None
    try:
        return int(shape.text, base)
    except ValueError:
        return None
