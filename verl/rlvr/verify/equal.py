r"""Are two answers equal? Shapes first, then their parts; the cheapest layer that knows decides.

``string``: the same after removing typography. ``numeric``: shapes agree and every pair of expressions has the same value
(:mod:`rlvr.verify.value`). ``symbolic``: an expression that our grammar does not know is put to math-verify. Only leaves ever
reach it, so it can never take a transposed matrix, a changed bracket or a list for something else. Gold and prediction are
not symmetric: what is optional in the gold (a unit, ``x =``) may be left out, and an equation's name may be added.
"""

from collections.abc import Callable

from rlvr.verify import relations, tastes
from rlvr.verify.expression import Node, NotAnExpression, parse
from rlvr.verify.normalise import canonical, normalise
from rlvr.verify.policy import Policy
from rlvr.verify.shape import Shape, TooComplex, expand_signs, read, words
from rlvr.verify.units import conflict
from rlvr.verify.value import TooBig, Undefined, same, symbols
from rlvr.verify.verdict import UNREADABLE

Oracle = Callable[[str, str], bool]  # (gold, prediction) → equal?

UNEVALUATED = ("\\int", "\\sum", "\\prod", "\\lim", "\\frac{d}", "\\partial", "\\max", "\\min")
INFINITE = {"\\infty": 1, "+\\infty": 1, "-\\infty": -1}
MAX_SYMBOLIC = 300  # characters that math-verify's parser is asked to read
MAX_ANSWER = 2000  # characters that are looked at; a longer answer equals only its copy. Bounds quadratic work


class Undecided(Exception):
    """The cheap layers do not know; raised where no oracle was given."""


def decide(gold: str, prediction: str, policy: Policy, oracle: Oracle | None = None) -> tuple[bool, str]:
    """(equal, layer that decided) of two extracted answers.

    Raises:
        Undecided: if only the symbolic layer can tell and there is no ``oracle``.
    """
    if len(prediction) > MAX_ANSWER:
        equal = gold.strip() == prediction.strip()
        return equal, "string" if equal else UNREADABLE
    gold, prediction = normalise(gold), normalise(prediction)
    plain = canonical(prediction)
    if canonical(gold) == plain:
        return bool(plain), "string"
    if not plain:
        return False, "string"
    if gold.isdecimal() and prediction.isdecimal() and gold.isascii() and prediction.isascii():
        return gold.lstrip("0") == prediction.lstrip("0"), "numeric"
    comparison = _Comparison(policy, oracle)
    try:
        equal = comparison.equal(read(gold), read(prediction))
    except TooComplex:
        return False, UNREADABLE
    if comparison.unreadable and not equal:
        return False, UNREADABLE
    return equal, "symbolic" if comparison.asked else "numeric"


class _Comparison:
    """One comparison; remembers whether the oracle was needed."""

    def __init__(self, policy: Policy, oracle: Oracle | None) -> None:
        self.accept = policy.accept
        self.oracle = oracle
        self.asked = False
        self.unreadable = False

    def equal(self, gold: Shape, found: Shape) -> bool:
        gold, found = self.agree_on_form(gold, found)
        if conflict(gold.units, found.units):
            return False
        if "text" in (gold.kind, found.kind):
            return _same_text(gold, found)
        if "base" in (gold.kind, found.kind):
            return self.same_base(gold, found)
        if {gold.kind, found.kind} <= {"list", "set"}:
            return self.unordered(gold.parts, found.parts)
        if gold.kind != found.kind:
            return self.by_taste(gold, found)
        if gold.kind == "leaf":
            return self.leaf(gold, found)
        if gold.kind == "union":
            return self.unordered(gold.parts, found.parts)
        if gold.kind == "relation":
            return self.relation(gold, found)
        blurred = gold.kind == "tuple" and "bracket_style" in self.accept and {gold.label, found.label} <= {"()", "[]"}
        return (blurred or gold.label == found.label) and self.ordered(gold.parts, found.parts)

    def agree_on_form(self, gold: Shape, found: Shape) -> tuple[Shape, Shape]:
        """Names of values and ± are spelled out where only one side has them."""
        if found.kind == "relation" and gold.kind != "relation":
            found = relations.value_of(found)
        elif gold.kind == "relation" and found.kind != "relation":
            value = relations.value_of(gold)
            # "x = 5" is answered by 5; "y = 2x" by 2x only where that is to one's taste
            if "equation_side" in self.accept or relations.is_constant(value):
                gold = value
        gold, found = expand_signs(gold), expand_signs(found)
        return relations.without_names(gold, found), relations.without_names(found, gold)

    def ordered(self, gold: tuple[Shape, ...], found: tuple[Shape, ...]) -> bool:
        return len(gold) == len(found) and all(self.equal(g, f) for g, f in zip(gold, found))

    def unordered(self, gold: tuple[Shape, ...], found: tuple[Shape, ...]) -> bool:
        """As multisets: equality is transitive, so the first partner is as good as any."""
        if len(gold) != len(found):
            return False
        rest = list(found)
        for wanted in gold:
            partner = next((i for i, candidate in enumerate(rest) if self.equal(wanted, candidate)), None)
            if partner is None:
                return False
            del rest[partner]
        return True

    def leaf(self, gold: Shape, found: Shape) -> bool:
        wanted, given = canonical(gold.text), canonical(found.text)
        if wanted == given:
            return bool(wanted)
        if wanted in INFINITE or given in INFINITE:
            return INFINITE.get(wanted, 0) == INFINITE.get(given, 0)
        try:
            right = parse(gold.text)
        except NotAnExpression:
            return self.ask(gold.text, found.text)
        try:
            left = parse(found.text)
        except NotAnExpression:
            self.unreadable = True
            return "\\" in found.text and bool(symbols(right)) and self.ask(gold.text, found.text)
        return self.values(right, left, gold, found)

    def values(self, right: Node, left: Node, gold: Shape, found: Shape) -> bool:
        try:
            equal = same(right, left)
        except (TooBig, Undefined):
            # A gold is no monster: what has no value within bounds does not have its value.
            return False
        if equal is None:
            return self.ask(gold.text, found.text)
        if not equal and "percent_fraction" in self.accept:
            equal = tastes.percent_fraction(right, "percent" in gold.units, left, "percent" in found.units)
        if not equal and "rounded" in self.accept:
            equal = tastes.rounded(right, found.text)
        return equal

    def ask(self, gold: str, found: str) -> bool:
        """Math-verify's opinion on two expressions that are worth its time."""
        unevaluated = any(command in found and command not in gold for command in UNEVALUATED)
        # A gold without a command that our grammar rejects is a date or a code, which arithmetic would corrupt.
        if (
            "\\" not in gold
            or unevaluated
            or not found.strip()
            or max(len(gold), len(found)) > MAX_SYMBOLIC
            or not balanced(found)
        ):
            return False
        self.asked = True
        if self.oracle is None:
            raise Undecided
        return self.oracle(gold, found)

    def relation(self, gold: Shape, found: Shape) -> bool:
        if gold.label == found.label and self.ordered(gold.parts, found.parts):
            return True
        if relations.flipped(found.label) == gold.label and self.ordered(gold.parts, tuple(reversed(found.parts))):
            return True
        return relations.same_equation(gold, found, scaled="equation_scaled" in self.accept)

    def same_base(self, gold: Shape, found: Shape) -> bool:
        if gold.kind == found.kind and gold.label == found.label:
            return gold.text.lstrip("0").upper() == found.text.lstrip("0").upper()
        if "base_value" in self.accept and tastes.base_value(gold) == tastes.base_value(found) is not None:
            return True
        return (
            "base_dropped" in self.accept and gold.kind == "base" and found.kind == "leaf" and found.text == gold.text
        )

    def by_taste(self, gold: Shape, found: Shape) -> bool:
        kinds = {gold.kind, found.kind}
        if kinds == {"list", "tuple"} and "bare_tuple" in self.accept:
            return "()" in (gold.label, found.label) and self.ordered(gold.parts, found.parts)
        if kinds == {"matrix", "tuple"} and "vector_tuple" in self.accept:
            matrix, point = (gold, found) if gold.kind == "matrix" else (found, gold)
            return "1" in matrix.label.split("x") and point.label == "()" and self.ordered(gold.parts, found.parts)
        if kinds == {"relation", "tuple"} and "inequality_interval" in self.accept:
            relation, interval = (gold, found) if gold.kind == "relation" else (found, gold)
            other = relations.as_interval(relation)
            return other is not None and self.equal(interval, other)
        return False


def _same_text(gold: Shape, found: Shape) -> bool:
    if {gold.kind, found.kind} - {"text", "leaf"}:
        return False
    wanted, given = ("".join(words(s.label if s.kind == "leaf" else s.text).split()) for s in (gold, found))
    # In a text, case is typography; a short bare word may be a product of variables.
    upright = gold.label == "upright" or (found.label == "upright" and len(wanted) > 1)
    if upright or (gold.kind == "text" and len(wanted) > 3):
        wanted, given = wanted.lower(), given.lower()
    return bool(wanted) and wanted == given


def balanced(text: str) -> bool:
    """Whether braces close, and are not nested beyond what math-verify's parser reads in bounded time."""
    depth = 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        if not 0 <= depth <= 12:
            return False
    return depth == 0
