"""Equations and inequalities: the value that ``x = 5`` names, sides swapped, names dropped from lists."""

import re
from dataclasses import replace

from rlvr.verify.expression import Node, NotAnExpression, num, parse
from rlvr.verify.normalise import canonical
from rlvr.verify.tree import Shape
from rlvr.verify.units import conflict
from rlvr.verify.value import TooBig, Undefined, number, same, symbols

FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
GREEK = (
    r"\\(?:alpha|beta|gamma|delta|theta|phi|psi|lambda|mu|sigma|tau|omega|rho|eta|kappa|varepsilon|ell|Gamma|Delta|Theta|Phi|Sigma"
    r"|Omega)(?![A-Za-z])"
)
INDEX = r"(?:_(?:\w|\{[^{}]*\}|\\[A-Za-z]+)|'|\^\{?(?:\*|-1|'+)\}?)*"
POINTS = r"(?:[A-Z]'?){2,4}"
SYMBOL = re.compile(
    rf"(?:[A-Za-z]|{GREEK}|\\(?:overline|vec|hat|bar|tilde|widehat|text|mathbb)\s*\{{[^{{}}]*\}}|\\ell){INDEX}"
    rf"|[a-z]?\\(?:angle|triangle|measuredangle)\{{?[A-Za-z0-9']{{1,4}}\}}?{INDEX}|{POINTS}|\|(?:{POINTS}|[A-Z])\||\[{POINTS}\]"
)
# f(5), P(X=3), E[X], det(A), f'(x): a letter that is a function's, so that x(x+1) is a product.
CALL = re.compile(
    rf"(?:[fghpqFGHPQTSEDVNAML]|{GREEK}|\\(?:det|Pr|deg|dim|tr|arg|gcd|max|min|ker)(?![A-Za-z])|\\(?:text|mathbb|operatorname)\s*\{{[^{{}}]*\}}){INDEX}"
    r"(?:\([^=]*(?:\([^()]*\)[^=]*)*\)|\([^()]*\)|\[[^\[\]]*\])"
)
INNER_CALL = re.compile(r"(?<![A-Za-z\\])[fghpqFGHPQTSEDV](?:_\w|'|\^\{-1\})*\([^()=+]*\)")
OF_ONE = re.compile(r"\\(?:det|dim|deg|text\s*\{\s*(?:rank|tr|lcm)\s*\})\s+[A-Za-z]")
ANGLE = re.compile(
    rf"\\(?:sin|cos|tan|cot|sec|csc)(?:\^\{{?\d\}}?)?\(?(?:\\angle)?\{{?(?:{POINTS}|[A-Z]'?|{GREEK})\}}?\)?"
)
EVALUATED = re.compile(r"[-\d]*\\(?:int|iint|oint|sum|prod|lim|max|min|sup|inf|limsup|liminf)(?![A-Za-z])")
SEGMENTS = re.compile(rf"(?:\\d?frac|{POINTS}|[{{}}+\-/()\s]|\\cdot|\^\{{?2\}}?)+")


def value_of(relation: Shape, given: bool = True) -> Shape:
    """The value in ``name = value``, or in ``name = 2 + 3 = 5`` where the rest agrees; else the relation itself.

    A gold names its value by one symbol or a call, for ``x^2 + y^2 = 25`` is an equation; an answer (``given``) may also repeat the
    quantity that was asked for, ``100m + n = 42``. A rounded value may follow the exact one, ``\\frac13 \\approx 0.333``.
    """
    parts, signs = relation.parts, relation.label.split()
    if len(parts) > 4:
        return relation
    if signs[-1] == "\\approx" and len(signs) > 1 and _rounds_to(parts[-2], parts[-1]):
        parts, signs = parts[:-1], signs[:-1]
    elif signs == ["\\approx"] and _rounds_to(parts[0], parts[1]):
        return parts[0]
    if set(signs) != {"="}:
        return relation
    if len(parts) > 1 and _is_percentage_of(parts[-1], parts[-2]):
        parts = parts[:-1]
    if len(parts) == 1:
        return parts[0]
    *sides, value = parts
    for index, side in enumerate(sides):
        named = (index == 0 and is_name(side)) or (given and _is_quantity(side) and is_constant(value))
        if (not named or _mentions(value, side)) and not _agree(_tree(side), _tree(value)):
            return relation
    return value


def _is_percentage_of(percentage: Shape, value: Shape) -> bool:
    """50 % after 1/2."""
    if not (percentage.kind == value.kind == "leaf" and percentage.words.has("percent")) or value.words:
        return False
    one, other = _tree(percentage), _tree(value)
    return one is not None and other is not None and _agree(("div", one, num(100)), other)


def is_name(side: Shape) -> bool:
    """What a value is called: ``x``, ``f(5)``, ``AB``, ``P(A)``, ``x_1``, ``\\angle A``, ``(x, y)``, ``\\text{Area}``, AB/CD."""
    if side.kind == "text":
        return True
    if side.kind == "tuple" and side.label in ("()", "<>"):
        return len(side.parts) > 1 and all(is_name(part) and part.kind == "leaf" for part in side.parts)
    if side.kind == "tuple" and side.label == "[]":
        return len(side.parts) == 1 and re.fullmatch(POINTS, side.parts[0].text) is not None
    if side.kind != "leaf":
        return False
    text = canonical(side.label)
    if any(pattern.fullmatch(text) for pattern in (SYMBOL, CALL, ANGLE)) or OF_ONE.fullmatch(side.label.strip()):
        return True
    return re.search("[A-Z]{2}", text) is not None and SEGMENTS.fullmatch(text) is not None


def _is_quantity(side: Shape) -> bool:
    """``a + b``, ``100m + n``, ``N \\bmod 1000``: a question's expression, which no single unknown could solve (``2x = 10``)."""
    if is_name(side):
        return True
    if side.kind != "leaf":
        return False
    text = side.text
    if EVALUATED.match(text.strip()):
        return True
    for index in range(4):
        text = INNER_CALL.sub(lambda _, index=index: f"c_{{{index}}}", text, count=1)  # type: ignore[misc]
    try:
        tree = parse(text)
    except NotAnExpression:
        return False
    names = symbols(tree)
    return len(names) > 1 or (len(names) == 1 and (tree[0] == "sym" or _is_counted(tree) or "c_0" in names))


def _is_counted(tree: Node) -> bool:
    """A floor, a remainder and the like, which no equation is made of."""
    return tree[0] == "call" and tree[1] in ("floor", "ceil", "mod", "gcd", "lcm")


def _rounds_to(exact: Shape, rounded: Shape) -> bool:
    """Whether a decimal is what the value before it is rounded, or cut, to."""
    decimal = re.fullmatch(r"-?\d+\.(\d+)", rounded.text.strip())
    tree = _tree(exact)
    if decimal is None or tree is None or symbols(tree):
        return False
    try:
        value = number(tree)
    except (TooBig, Undefined):
        return False
    return value.imag == 0 and abs(float(value.real) - float(decimal[0])) <= 1.01 * 10.0 ** -len(decimal[1])


def is_constant(value: Shape) -> bool:
    """Whether it has no variables: then its name adds nothing to it."""
    if value.kind != "leaf":
        return value.kind != "relation" and all(map(is_constant, value.parts))
    tree = _tree(replace(value, text=value.text.replace("\\pm", "+")))
    return tree is not None and not symbols(tree)


def without_names(shape: Shape, other: Shape) -> Shape:
    """``x = 1, x = 2`` as 1, 2 where the other is a list; ``x = 5, y = 2`` as (5, 2) where the other is a tuple."""
    if shape.kind not in ("list", "set") or not any(part.kind == "relation" for part in shape.parts):
        return shape
    if any(part.kind == "relation" for part in other.parts) or other.kind not in ("list", "set", "tuple"):
        return shape
    values = [value_of(part) if part.kind == "relation" else part for part in shape.parts]
    if any(value.kind == "relation" for value in values):
        return shape
    names = [canonical(part.parts[0].text) for part in shape.parts if part.kind == "relation"]
    if other.kind != "tuple":
        one_name = len({name.partition("_")[0] for name in names}) == 1
        return replace(shape, parts=tuple(values)) if one_name else replace(shape, kind="system")
    if len(set(names)) != len(values):
        return shape
    return Shape("tuple", label="()", parts=tuple(value for _, value in sorted(zip(names, values), key=lambda p: p[0])))


def flipped(label: str) -> str:
    """The signs of the same relation read from right to left."""
    return " ".join(FLIPPED.get(sign, sign) for sign in reversed(label.split()))


def same_equation(gold: Shape, found: Shape, scaled: bool) -> bool:
    """Whether left minus right is the same expression, or with ``scaled`` a multiple of it."""
    if gold.label != "=" or found.label != "=":
        return False
    if conflict(*(first.words | second.words for first, second in (gold.parts, found.parts))):
        return False
    sides = [_tree(part) for part in (*gold.parts, *found.parts)]
    if any(side is None for side in sides):
        return False
    a, b, c, d = (side for side in sides if side is not None)
    wanted, given = _minus(a, b), _minus(c, d)
    names = symbols(wanted)
    if not names or names != symbols(given):
        return False
    try:
        return bool(same(wanted, given) or (scaled and _proportional(wanted, given, sorted(names))))
    except (TooBig, Undefined):
        return False


def as_interval(relation: Shape) -> Shape | None:
    """``1 < x \\le 2`` as (1, 2], ``x > 0`` as (0, ∞); None if it is no range of one variable."""
    parts, signs = list(relation.parts), relation.label.split()
    if relation.kind != "relation" or not parts or any(sign not in FLIPPED for sign in signs):
        return None
    if signs[0] in (">", "\\ge"):
        parts, signs = parts[::-1], flipped(relation.label).split()
    if any(sign not in ("<", "\\le") for sign in signs):
        return None
    if len(parts) == 2:
        infinite = Shape("leaf", "\\infty")
        if _is_symbol(_tree(parts[0])):
            parts, signs = [Shape("leaf", "-\\infty"), *parts], ["<", *signs]
        else:
            parts, signs = [*parts, infinite], [*signs, "<"]
    if len(parts) != 3 or not _is_symbol(_tree(parts[1])):
        return None
    label = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
    return Shape("tuple", label=label, parts=(parts[0], parts[2]))


def _proportional(left: Node, right: Node, names: list[str]) -> bool:
    """left(x) · right(p) = right(x) · left(p) for all x, at one fixed point p."""
    point = {name: num(3 + index * index) for index, name in enumerate(names)}
    ratio = same(("mul", left, _at(right, point)), ("mul", right, _at(left, point)))
    return ratio is True and not same(_at(left, point), num(0)) and not same(_at(right, point), num(0))


def _at(node: Node, point: dict[str, Node]) -> Node:
    if node[0] == "sym":
        return point[node[1]]
    return tuple(_at(child, point) if isinstance(child, tuple) else child for child in node)


def _minus(a: Node, b: Node) -> Node:
    return ("add", a, ("mul", num(-1), b))


def _tree(side: Shape) -> Node | None:
    try:
        return parse(side.text) if side.kind == "leaf" else None
    except NotAnExpression:
        return None


def _is_symbol(tree: Node | None) -> bool:
    return tree is not None and tree[0] == "sym"


def _mentions(value: Shape, name: Shape) -> bool:
    """Whether the value is in terms of its own name, as in x = x + 1."""
    tree, named = _tree(value), _tree(name)
    return tree is not None and named is not None and _is_symbol(named) and named[1] in symbols(tree)


def _agree(left: Node | None, right: Node | None) -> bool:
    try:
        return left is not None and right is not None and same(left, right) is True
    except (TooBig, Undefined):
        return False
