r"""The shape of an answer as data: what kind of thing it is, and its parts; and how a text is split outside its brackets.

Read by :mod:`rlvr.verify.shape`. Deliberately left out: what the parts are worth.
"""

import re
from dataclasses import dataclass, field

from rlvr.verify.units import NOTHING, Words

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
MAX_PARTS = 200
MAX_DEPTH = 12


@dataclass(frozen=True)
class Shape:
    """One node.

    Attributes:
        kind: ``leaf``, ``text``, ``base``, ``tuple``, ``matrix``, ``relation``, ``congruence`` (residue, modulus), ``branch``
            (value, condition), ``difference`` (of sets), ``builder`` ({x | condition}), ``system`` (x = 5, y = 2), and without
            order ``list``, ``set``, ``union``, ``intersection``, ``cases``.
        label: brackets of a tuple, ``rows×columns`` of a matrix, the signs of a relation, the base of a number, a leaf with its
            words, ``upright`` for a ``\\text``.
        parts: the nodes inside.
        text: what a leaf says, without the words around it.
        words: the words around a leaf.
    """

    kind: str
    text: str = ""
    label: str = ""
    parts: tuple["Shape", ...] = ()
    words: Words = field(default=NOTHING)


class TooComplex(ValueError):
    """More parts or deeper nesting than an answer has."""


def split(text: str, separators: tuple[str, ...]) -> list[str]:
    """At the separators outside all brackets. A half-open interval's brackets count as a pair."""
    parts: list[str] = []
    level, start = 0, 0
    for position, token in tokens(text):
        if token in ("(", "[", "{", "\\{", "\\langle"):
            level += 1
        elif token in (")", "]", "}", "\\}", "\\rangle"):
            level -= 1
        elif level == 0 and token in separators:
            parts.append(text[start:position])
            start = position + len(token)
    return [*parts, text[start:]]


def tokens(text: str) -> list[tuple[int, str]]:
    return [(match.start(), match[0]) for match in TOKEN.finditer(text)]
