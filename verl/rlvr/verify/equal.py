r"""Are two answers equal? Shapes first, then their parts; the cheapest layer that knows decides.

``string``: the same after removing typography. ``numeric``: shapes agree and every pair of expressions has the same value
(:mod:`rlvr.verify.value`). ``symbolic``: an expression that our grammar does not know is put to math-verify. Only leaves ever
reach it, so it can never take a transposed matrix, a changed bracket or a list for something else. Gold and prediction are
not symmetric: what is optional in the gold (a unit, ``x =``) may be left out, and an equation's name may be added.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from rlvr.verify import relations, sets, tastes
from rlvr.verify.choices import CHOICE, choice
from rlvr.verify.expression import Node, NotAnExpression, num, parse
from rlvr.verify.leaf import words
from rlvr.verify.normalise import canonical, normalise
from rlvr.verify.policy import Policy
from rlvr.verify.shape import APPROXIMATELY, expand_signs, read
from rlvr.verify.tree import Shape, TooComplex
from rlvr.verify.units import conflict
from rlvr.verify.value import TooBig, Undefined, number, same, symbols
from rlvr.verify.verdict import UNREADABLE

Oracle = Callable[[str, str], bool | None]  # (gold, prediction) → equal? None where it cannot read one

UNEVALUATED = ("\\int", "\\sum", "\\prod", "\\lim", "\\frac{d}", "\\partial", "\\max", "\\min")
UNSOLVED = re.compile(r"\\(?:gcd|max|min|mod)(?![A-Za-z])|(?:gcd|lcm|max|min)\s*\}?\s*\\?[({]")  # the question again
COMMAND = re.compile(r"\\[A-Za-z]+")
# What a second opinion may be asked about: every command means one thing, and no words.
READABLE = frozenset(
    [
        r"\int",
        r"\sum",
        r"\prod",
        r"\lim",
        r"\frac",
        r"\sqrt",
        r"\binom",
        r"\infty",
        r"\to",
        r"\pi",
        r"\sin",
        r"\cos",
        r"\tan",
        r"\cot",
        r"\sec",
        r"\csc",
        r"\arcsin",
        r"\arccos",
        r"\arctan",
        r"\sinh",
        r"\cosh",
        r"\tanh",
        r"\ln",
        r"\log",
        r"\exp",
        r"\cdot",
        r"\times",
        r"\alpha",
        r"\beta",
        r"\gamma",
        r"\delta",
        r"\theta",
        r"\lambda",
        r"\mu",
        r"\nu",
        r"\rho",
        r"\sigma",
        r"\tau",
        r"\phi",
        r"\psi",
        r"\omega",
        r"\partial",
        r"\max",
        r"\min",
        r"\lfloor",
        r"\rfloor",
        r"\lceil",
        r"\rceil",
        r"\mod",
        r"\pm",
    ]
)
SYNONYMS = {"doesnotexist": "DNE", "dne": "DNE", "nosolutions": "nosolution", "emptyset": "\\emptyset"}
WORDLIKE = re.compile(
    r"(?<![A-Za-z\\])(?!sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|mod|pi|(?:d[a-z])+(?![A-Za-z]))[A-Za-z]{2,}"
)
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
    # "about 8.2" is an answer where the gold is rounded, too
    if gold.startswith("\\approx") or "." in gold:
        gold, prediction = (APPROXIMATELY.sub("", text) for text in (gold, prediction))
    plain = canonical(prediction)
    if canonical(gold) == plain:
        return bool(plain), "string"
    if not plain:
        return False, "string"
    if gold.isdecimal() and prediction.isdecimal() and gold.isascii() and prediction.isascii():
        return gold.lstrip("0") == prediction.lstrip("0"), "numeric"
    comparison = _Comparison(policy, oracle)
    try:
        equal = comparison.answers(gold, prediction)
    except TooComplex:
        return False, UNREADABLE
    if comparison.unreadable and not equal:
        return False, UNREADABLE
    return equal, "symbolic" if comparison.asked else "numeric"


def solutions(gold: str) -> int:
    """How many answers a gold holds: those of a list or a set, else one."""
    if not any(separator in gold for separator in (",", ";", "and", "or", "\\pm")):
        return 1
    try:
        shape = expand_signs(read(normalise(gold[:MAX_ANSWER])))
    except TooComplex:
        return 1
    return len(shape.parts) if shape.kind in ("list", "set") else 1


class _Comparison:
    """One comparison; remembers whether the oracle was needed."""

    def __init__(self, policy: Policy, oracle: Oracle | None) -> None:
        self.accept = policy.accept
        self.oracle = oracle
        self.asked = False
        self.unreadable = False

    def answers(self, gold: str, found: str) -> bool:
        """Two whole answers; the letter of a choice may stand before its text."""
        if CHOICE.fullmatch(gold) or CHOICE.fullmatch(found):
            (wanted, its_text), (given, text) = choice(gold), choice(found)
            if wanted and given:
                alike = not its_text or not text or self.equal(read(its_text), read(text))
                return wanted == given and alike
            if (wanted and its_text) or (given and text):
                gold, found = its_text or gold, text or found
        return self.equal(read(gold), read(found))

    def equal(self, gold: Shape, found: Shape) -> bool:
        gold, found = self.agree_on_form(gold, found)
        if conflict(gold.words, found.words):
            return False
        kinds = {gold.kind, found.kind}
        if "text" in kinds:
            return _same_text(gold, found)
        if "base" in kinds:
            return self.same_base(gold, found)
        if kinds <= {"list", "set"}:
            return self.unordered(gold.parts, found.parts)
        if kinds & set(sets.OPERATIONS) and (equal := sets.same_set(gold, found)) is not None:
            return equal
        if found.kind == "list" and found.parts and gold.kind not in ("list", "set", "tuple", "system"):
            return all(self.equal(gold, part) for part in found.parts)  # "1/2 or 0.5"
        if gold.kind != found.kind:
            return self.by_taste(gold, found)
        if gold.kind == "leaf":
            return self.leaf(gold, found)
        if gold.kind in ("union", "intersection", "cases"):
            return self.unordered(gold.parts, found.parts)
        if gold.kind == "relation":
            return self.relation(gold, found)
        if gold.kind == "congruence":
            return self.congruence(gold, found)
        if gold.kind == "builder":
            return gold.text == found.text and self.ordered(gold.parts, found.parts)
        blurred = gold.kind == "tuple" and "bracket_style" in self.accept and {gold.label, found.label} <= {"()", "[]"}
        if gold.kind == "tuple" and gold.text and found.text and canonical(gold.text) != canonical(found.text):
            return False  # P(1, 2) is not Q(1, 2)
        return (blurred or gold.label == found.label) and self.ordered(gold.parts, found.parts)

    def agree_on_form(self, gold: Shape, found: Shape) -> tuple[Shape, Shape]:
        """Names of values and ± are spelled out where only one side has them."""
        if found.kind == "relation" and gold.kind != "relation":
            found = relations.value_of(found)
        elif gold.kind == "relation" and found.kind != "relation":
            value = relations.value_of(gold, given=False)
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
        if UNSOLVED.search(found.text) and not UNSOLVED.search(gold.text):
            self.unreadable = True
            return False
        right, left = _parsed(gold.text), _parsed(found.text)
        if right is None or left is None:
            self.unreadable |= left is None
            return (left is not None or "\\" in found.text) and self.ask(gold.text, found.text)
        # "0 wrong" is no product with zero
        if WORDLIKE.search(found.text) and symbols(left) - symbols(right):
            self.unreadable = True
            return False
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
            equal = tastes.percent_fraction(right, gold.words.has("percent"), left, found.words.has("percent"))
        if not equal and "rounded" in self.accept:
            equal = tastes.rounded(right, found.text)
        return equal

    def ask(self, gold: str, found: str) -> bool:
        """Math-verify's opinion on two expressions that are worth its time."""
        unevaluated = any(command in found and command not in gold for command in UNEVALUATED)
        known = set(COMMAND.findall(gold + found)) <= READABLE and not WORDLIKE.search(gold + " " + found)
        # A gold without a command that our grammar rejects is a date or a code, which arithmetic would corrupt.
        if "\\" not in gold or unevaluated or not known or not found.strip() or not balanced(found):
            return False
        if max(len(gold), len(found)) > MAX_SYMBOLIC:
            return False
        self.asked = True
        if self.oracle is None:
            raise Undecided
        equal = self.oracle(gold, found)
        self.unreadable = equal is None
        return bool(equal)

    def relation(self, gold: Shape, found: Shape) -> bool:
        if gold.label == found.label and self.ordered(gold.parts, found.parts):
            return True
        if relations.flipped(found.label) == gold.label and self.ordered(gold.parts, tuple(reversed(found.parts))):
            return True
        return relations.same_equation(gold, found, scaled="equation_scaled" in self.accept)

    def congruence(self, gold: Shape, found: Shape) -> bool:
        """The same residues of the same modulus: 5 and -1 are, modulo 6."""
        (wanted, modulus), (given, other) = gold.parts, found.parts
        if not self.equal(modulus, other):
            return False
        if {wanted.kind, given.kind} == {"relation"} and not self.equal(wanted.parts[0], given.parts[0]):
            return False
        wanted, given = (shape.parts[-1] if shape.kind == "relation" else shape for shape in (wanted, given))
        if wanted.kind != "list" or given.kind != "list":
            return self.equal(wanted, given) or _congruent(wanted, given, modulus)
        rest = list(given.parts)
        for residue in wanted.parts:
            partner = next((i for i, each in enumerate(rest) if _congruent(residue, each, modulus)), None)
            if partner is None:
                return False
            del rest[partner]
        return not rest

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
    wanted, given = (SYNONYMS.get(text.lower(), text) for text in (wanted, given))
    upright = gold.label == "upright" or (found.label == "upright" and len(wanted) > 1)
    if upright or (gold.kind == "text" and len(wanted) > 3):
        wanted, given = wanted.lower(), given.lower()
    return bool(wanted) and wanted == given


def _congruent(one: Shape, other: Shape, modulus: Shape) -> bool:
    leaves = all(shape.kind == "leaf" and not shape.words for shape in (one, other, modulus))
    trees = [_parsed(shape.text) if leaves else None for shape in (one, other, modulus)]
    if any(tree is None for tree in trees):
        return False
    a, b, m = trees
    try:
        quotient = number(("div", ("add", a, ("mul", num(-1), b)), m))
    except (TooBig, Undefined, KeyError):
        return False
    return isinstance(quotient, Fraction) and quotient.denominator == 1


def _parsed(text: str) -> Node | None:
    try:
        return parse(text)
    except NotAnExpression:
        return None


def balanced(text: str) -> bool:
    """Whether braces close, and are not nested beyond what math-verify's parser reads in bounded time."""
    depth = 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        if not 0 <= depth <= 12:
            return False
    return depth == 0
