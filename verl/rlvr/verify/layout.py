r"""Answers in two dimensions: matrices, and the environments that hold systems, chains and functions by cases.

Read to the entries' texts alone; :mod:`rlvr.verify.shape` reads those. Deliberately left out: arithmetic on matrices, except a
factor in front.
"""

import re
from dataclasses import dataclass

from rlvr.verify.normalise import ROW

MATRIX = re.compile(
    r"([^{}&,]*(?:\{[^{}]*\}[^{}&,]*){0,4}?)\\begin\s*\{([pbBvV]?|small)matrix\}(.*)\\end\s*\{\2matrix\}(\s*\^\s*\{?\s*(?:\\top|\\text\{T\}|T)\s*\}?)?",
    re.DOTALL,
)
ARRAY = re.compile(
    r"([(\[])\s*\\begin\s*\{(array|matrix)\}(?:\s*\{[lcr|: ]*\})?(.*)\\end\s*\{\2\}\s*([)\]])", re.DOTALL
)
BLOCK = re.compile(
    r"(.*?)(?:\\\{\s*)?\\begin\s*\{(array|cases|dcases|rcases|aligned|align\*?|gathered|gather\*?|split|alignedat)\}"
    r"(?:\s*\{[lcr|: ]*\})?(.*)\\end\s*\{\2\}\s*(?:\\\})?\s*\.?",
    re.DOTALL,
)
CONDITION = re.compile(
    r"\\text\s*\{\s*,?\s*(?:if|for|when|where|as|and|,)?\s*\}|(?<![A-Za-z\\])(?:if|for|when)(?![A-Za-z])", re.IGNORECASE
)
RELATION = re.compile(r"\\(?:le|ge|ne|equiv)(?![A-Za-z])|[<>=]")


@dataclass(frozen=True)
class Matrix:
    """The entries' texts, by row; ``bars``: a determinant."""

    rows: list[list[str]]
    bars: bool


def matrix(text: str) -> Matrix | None:
    """The matrix that a text is, a factor in front multiplied in."""
    match = MATRIX.fullmatch(text)
    array = None if match else ARRAY.fullmatch(text)
    if match is None and array is None:
        return None
    factor = match[1].strip().removesuffix("\\cdot").removesuffix("\\times").strip() if match else ""
    body = match[3] if match else array[3] if array else ""
    bars = bool(match and match[2] in ("v", "V"))
    if "\\begin" in body or "=" in factor or (factor and bars):
        return None
    rows = _rows(body)
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    if factor:
        rows = [[f"{'-1' if factor == '-' else factor} * ({cell})" for cell in row] for row in rows]
    if match and match[4]:
        rows = [list(column) for column in zip(*rows)]
    return Matrix(rows, bars)


def system(text: str) -> str | None:
    """A system of equations, or a calculation over several lines, as one line; None if the text is neither."""
    match = BLOCK.fullmatch(text)
    if match is None or "\\begin" in match[3] or match[1].strip():
        return None
    rows = _rows(match[3])
    if (
        any(len(row) > 1 and not (RELATION.search(row[0]) or RELATION.match(row[1].strip())) for row in rows)
        or len(rows) > 20
    ):
        return None
    lines = ["".join(row).strip().rstrip(",.;") for row in rows]
    joined = ""
    for line in filter(None, lines):
        joined += line if not joined or RELATION.match(line) else f", {line}"
    return joined


def branches(text: str) -> list[tuple[str, str]] | None:
    """(value, condition) of each branch of a function by cases."""
    match = BLOCK.fullmatch(text)
    if match is None or "\\begin" in match[3] or match[1].strip():
        return None
    rows = _rows(match[3])
    if not rows or any(len(row) != 2 for row in rows) or len(rows) > 20:
        return None
    return [(row[0].strip().rstrip(",;"), CONDITION.sub(" ", row[1]).strip().rstrip(",.;")) for row in rows]


def _rows(body: str) -> list[list[str]]:
    rows = [row.split("&") for row in body.replace("\\hline", "").split(ROW)]
    return [row for row in rows if any(cell.strip() for cell in row)]
