"""A second opinion on two expressions of which our own grammar does not know one: two independent yeses, or it is no.

Math-verify reads both (its LaTeX parser, latex2sympy2) and must find them equal; then our own numbers must agree: both are
evaluated at pseudo-random points, by our grammar where it can read the expression and by sympy's ``evalf`` of what was parsed
where it cannot.
Only ever called in a worker process (:mod:`rlvr.verify.worker`): it has no time limit of its own. Only math-verify's LaTeX
grammar is used; its plain-text extractor hands text to sympy's ``parse_expr``, which is Python's ``eval``.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse, verify

from rlvr.verify import value
from rlvr.verify.arithmetic import Evaluation
from rlvr.verify.expression import NotAnExpression
from rlvr.verify.expression import parse as read

ROUNDING = 15  # digits; math-verify's own 6 would take 0.333333 for a third
PRECISION = 40
POINTS = 4
AGREEMENT = 1e-15  # relative; integrals and limits are not known to more digits
COUNTING = (sympy.Sum, sympy.Product, sympy.factorial, sympy.binomial, sympy.Mod)

CONFIG = [LatexExtractionConfig(boxed_match_priority=-1)]

Function = Callable[[dict[str, Fraction]], Any]


def symbolic(gold: str, prediction: str) -> bool | None:
    """Whether both ways find them equal; None if math-verify cannot read one as an expression."""
    parsed = [
        parse(f"${text}$", CONFIG, fallback_mode="no_fallback", parsing_timeout=None) for text in (gold, prediction)
    ]
    trees = [each[0] for each in parsed if each and isinstance(each[0], sympy.Expr)]
    if len(trees) != 2:
        return None
    equal = verify(
        *parsed, float_rounding=ROUNDING, numeric_precision=PRECISION, timeout_seconds=None, raise_on_error=True
    )
    return equal and numerically_equal(_function(gold, trees[0]), _function(prediction, trees[1]), trees)


def numerically_equal(one: Function, other: Function, trees: list[Any]) -> bool:
    """Whether two functions agree at every point where both have a value, and have one at two points at least."""
    names = {_name(symbol) for tree in trees for symbol in tree.free_symbols}
    whole = any(tree.has(*COUNTING) for tree in trees)
    agreed = 0
    for k in range(POINTS):
        point = {
            name: value.integer(name, k) if whole else value.coordinate(name, 0 if k == 0 else k - 1) for name in names
        }
        a, b = one(point), other(point)
        if a is None or b is None:
            continue
        if abs(a - b) > AGREEMENT * max(abs(a), abs(b)):
            return False
        agreed += 1
    return agreed >= 2


def _function(text: str, tree: Any) -> Function:
    """The value of an expression at a point, or None where it has none: ours where we can read it."""
    try:
        node = read(text)
    except NotAnExpression:
        return lambda point: _evalf(tree, point)
    return lambda point: _ours(node, point)


def _ours(node: Any, point: dict[str, Fraction]) -> Any:
    evaluation = Evaluation(value.context(PRECISION), point)
    try:
        found = evaluation.inexact(evaluation.value(node))
    except (value.TooBig, value.Undefined, KeyError):
        return None
    return sympy.sympify(found) if found.imag == 0 else None


def _evalf(tree: Any, point: dict[str, Fraction]) -> Any:
    numbers = {symbol: sympy.Rational(f"{point[_name(symbol)]}") for symbol in tree.free_symbols}
    found = tree.subs(numbers).doit().evalf(PRECISION)
    return found if found.is_Float or found.is_Integer or found.is_Rational else None


def _name(symbol: Any) -> str:
    """As our grammar calls it: ``x_{1}`` is x_1."""
    return re.sub(r"[{}\\]", "", str(symbol))
