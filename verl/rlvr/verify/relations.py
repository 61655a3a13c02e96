"""Equations and inequalities: the value that ``x = 5`` names, sides swapped, names dropped from lists."""

import re
from dataclasses import replace

from rlvr.verify.expression import Node, NotAnExpression, num, parse
from rlvr.verify.normalise import canonical
from rlvr.verify.shape import Shape
from rlvr.verify.value import TooBig, Undefined, same, symbols

FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
POWERS = re.compile(r"[\^_]\s*\{?\s*\w+\s*\}?")
NAME = re.compile(
    r"(?:\\angle|\\triangle|\\overline|\\cos|\\sin|\\tan|\\log)?\{?(?:\\text\{[^{}]*\}|[A-Za-z]{1,4}'*)\}?"
    r"(?:_\{?\w+\}?)?(?:\^\{?-1\}?)?(?:\([A-Za-z0-9,+-]{1,12}\))?"
)


def value_of(relation: Shape) -> Shape:
    """The value in ``name = value``, or in ``name = 2 + 3 = 5`` where the rest agrees; else the relation itself."""
    first, *others = relation.parts
    value = others[-1]
    if set(relation.label.split()) != {"="} or len(others) > 3:
        return relation
    between = [_tree(side) for side in others[:-1]]
    if not (is_name(first) or (_is_quantity(first) and is_constant(value))) or _mentions(value, first):
        between.append(_tree(first))
    if between and not all(_agree(side, _tree(value)) for side in between):
        return relation
    return value


def is_name(side: Shape) -> bool:
    """What a value is called: ``x``, ``f(x)``, ``AB``, ``P(A)``, ``x_1``, ``\\angle A``, ``(x, y)``, ``\\text{Area}``."""
    if side.kind == "text":
        return True
    if side.kind == "tuple":
        return all(is_name(part) and part.kind == "leaf" for part in side.parts)
    return side.kind == "leaf" and (NAME.fullmatch(canonical(side.text)) is not None or _is_symbol(_tree(side)))


def _is_quantity(side: Shape) -> bool:
    """``a + b``, ``x^2 + y^2``: an expression in names alone. A number in it (2x = 10) would make it a step, not an answer."""
    tree = _tree(side)
    return tree is not None and bool(symbols(tree)) and not re.search(r"\d", POWERS.sub("", side.text))


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
    if not parts or any(sign not in FLIPPED for sign in signs):
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
