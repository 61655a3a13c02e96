r"""Sets of real numbers: unions, intersections and differences of intervals and points, compared as sets.

All endpoints of both sets cut the line into points and gaps; two sets are equal if they hold the same of them. Endpoints are
compared by value, so ``[0,1]\cup[1,2]`` is ``[0,2]``. Deliberately left out: endpoints with variables, sets that are not of this
kind (:mod:`rlvr.verify.equal` compares those part by part).
"""

from functools import cmp_to_key

from rlvr.verify.expression import Node, NotAnExpression, num, parse
from rlvr.verify.normalise import canonical
from rlvr.verify.tree import Shape
from rlvr.verify.value import TooBig, Undefined, number, same, symbols

OPERATIONS = ("union", "intersection", "difference")
MAX_ENDPOINTS = 40
INFINITE = {"\\infty": 1, "+\\infty": 1, "-\\infty": -1}

Endpoint = Node | int  # a tree, or the sign of infinity


class NotASet(ValueError):
    """A part is no set of real numbers that is known here."""


def same_set(one: Shape, other: Shape) -> bool | None:
    """Whether two shapes are the same set of real numbers; None if either is none."""
    try:
        line = _Line([*_endpoints(one), *_endpoints(other)])
        return line.held(one) == line.held(other)
    except (NotASet, NotAnExpression, TooBig, Undefined):
        return None


class _Line:
    """The real line, cut at some points: point 0, gap, point 1, gap, … ; -∞ and ∞ are its ends."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        if len(endpoints) > MAX_ENDPOINTS:
            raise NotASet("too many endpoints")
        self.points: list[Endpoint] = []
        for endpoint in sorted([-1, 1, *endpoints], key=cmp_to_key(_compare)):
            if not self.points or _compare(self.points[-1], endpoint) != 0:
                self.points.append(endpoint)

    def held(self, shape: Shape) -> frozenset[int]:
        """Which pieces a set holds: 2k for the k-th point, 2k + 1 for the gap after it."""
        if shape.kind in OPERATIONS:
            first, *rest = map(self.held, shape.parts)
            if shape.kind == "union":
                return first.union(*rest)
            return first.intersection(*rest) if shape.kind == "intersection" else first.difference(*rest)
        places = [2 * self.place(endpoint) for endpoint in _endpoints(shape)]
        if shape.kind == "set":
            return frozenset(places)
        low, high = places
        if low > high:
            raise NotASet("an interval from right to left")
        ends = {low} if shape.label[0] == "[" else set()
        ends |= {high} if shape.label[1] == "]" else set()
        return frozenset(range(low + 1, high)) | ends

    def place(self, endpoint: Endpoint) -> int:
        return next(i for i, point in enumerate(self.points) if _compare(point, endpoint) == 0)


def _endpoints(shape: Shape) -> list[Endpoint]:
    if shape.kind in OPERATIONS:
        return [endpoint for part in shape.parts for endpoint in _endpoints(part)]
    interval = shape.kind == "tuple" and len(shape.parts) == 2 and shape.label in ("()", "[]", "(]", "[)")
    if not interval and shape.kind != "set":
        raise NotASet(shape.kind)
    if any(part.kind != "leaf" or part.words for part in shape.parts):
        raise NotASet("not of numbers")
    return [_endpoint(part.text) for part in shape.parts]


def _endpoint(text: str) -> Endpoint:
    name = canonical(text)
    if name in INFINITE:
        return INFINITE[name]
    tree = parse(text)
    if symbols(tree) or number(tree).imag != 0:
        raise NotASet("not a real number")
    return tree


def _compare(a: Endpoint, b: Endpoint) -> int:
    if isinstance(a, int) or isinstance(b, int):
        first, second = (x if isinstance(x, int) else 0 for x in (a, b))
        return first - second
    if same(a, b):
        return 0
    difference = number(("add", a, ("mul", num(-1), b)))
    return -1 if difference.real < 0 else 1
