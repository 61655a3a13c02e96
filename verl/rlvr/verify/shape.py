r"""What kind of thing an answer is: a list, a tuple or interval, a set, a union, a matrix, a relation, a text, or one expression.

The shape is read from brackets and separators alone, so that ``(1,2]`` and ``(1,2)``, or a matrix and its transpose, can never
be confused by what their entries are worth. Bracketed pairs are not told apart into points and intervals: brackets must match.
"""

import re
from dataclasses import replace

from rlvr.verify.layout import branches, matrix, system
from rlvr.verify.leaf import THOUSANDS, compound, leaf, words
from rlvr.verify.normalise import THOUSAND
from rlvr.verify.relations import as_interval
from rlvr.verify.tree import MAX_DEPTH, MAX_PARTS, Shape, TooComplex, split, tokens
from rlvr.verify.units import split_words

SIGNS = re.compile(r"\\[pm][mp](?![A-Za-z])")

AND = re.compile(
    r"\s*,?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*,?\s*", re.IGNORECASE
)
OTHER_TEXT = re.compile(r"\\text\s*\{[^{}]*\}")
MEMBER = re.compile(r"(?:[A-Za-z](?:_\{?\w+\}?)?|\([A-Za-z](?:\s*,\s*[A-Za-z])+\))\s*\\in\s*(?![A-Za-z])")
BUILDER = re.compile(r"([A-Za-z])\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?[:|]\s*(.+)")
RELATION = re.compile(r"\\(?:le|ge|ne|approx|equiv|sim|to|Rightarrow|Leftrightarrow)(?![A-Za-z])|[<>=]=?")
QUANTITY_IN_TEXT = re.compile(
    r"\\text\s*\{\s*(-?[\d.,]+(?:/\d+)?)((?:\s|(?=[A-Za-z%]))[^{}]*)?\}((?:\s*\^\s*\{?-?\d\}?)?)"
)
CLOCK_IN_TEXT = re.compile(r"\\text\s*\{\s*(\d{1,2}:\d{2}[^{}]*)\}")
MODULUS = re.compile(
    r"(.+?)[\s,]*(?:\\pmod\s*(?:\{([^{}]+)\}|(\d|[A-Za-z]))|\(\s*(?:\\text\s*\{\s*mod(?:ulo)?\s*\}|\\?mod(?:ulo)?(?![A-Za-z]))\s*([^()]+?)\s*\)"
    r"|\\text\s*\{\s*\(\s*mod(?:ulo)?\s*\}\s*([^(){}]+?)\s*(?:\\text\s*\{\s*\)\s*\}|\))"
    r"|\\text\s*\{\s*\(?\s*mod(?:ulo)?\s*(\w+)\s*\)?\s*\})"
)
BARE_MODULUS = re.compile(
    r"(.+\\equiv.+?)\s*(?:\\mod|\\text\s*\{\s*mod(?:ulo)?\s*\}|(?<![A-Za-z\\])mod(?:ulo)?)(?![A-Za-z])\s*\{?\s*([^(){}\\]+?)\s*\}?"
)
# "The answer is", "Area:" in front of a value; nothing that changes it ("half of", "not").
PREFIX = re.compile(
    r"^(?:\\text\s*\{\s*(?!(?:[^{}]*\b)?(?:not|no|never|isn't|about|half|twice|than|least|most|if|or)\b)[^{}\d]*(?:\bis|\bare|:|=|\bequals)\s*\}\s*:?"
    r"|(?:the )?(?:final )?answer\b(?: is)?\s*[:=]?|[:=])\s*",
    re.IGNORECASE,
)
APPROXIMATELY = re.compile(r"^\\approx(?![A-Za-z])\s*")
NAMED_POINT = re.compile(r"(?:\\text\s*\{\s*(?:[Pp]oint\s*)?[A-Z]?'?\s*\}|[A-Z]'?(?:_\{?\w\}?)?)\s*(?=\()")
REALS = re.compile(r"(?:\\mathbb\s*\{?\s*R\s*\}?|\\text\s*\{\s*(?:all )?real numbers\s*\})")
HALF_LINES = {
    "^+": r"(0,\infty)", "_+": r"(0,\infty)", "_>0": r"(0,\infty)", r"_\ge0": r"[0,\infty)",
    "^-": r"(-\infty,0)", "_<0": r"(-\infty,0)"
}  # fmt: skip


def read(text: str, depth: int = 0) -> Shape:
    """The shape of a normalised answer.

    Raises:
        TooComplex: beyond ``MAX_PARTS`` or ``MAX_DEPTH``.
    """
    if depth > MAX_DEPTH:
        raise TooComplex("nested too deeply")
    text = text.strip()
    if depth == 0:
        text = PREFIX.sub("", text).strip()
        if quantity := QUANTITY_IN_TEXT.fullmatch(text):
            unit = f" \\text{{{quantity[2]}}}{quantity[3]}" if (quantity[2] or "").strip() else quantity[3]
            text = quantity[1] + unit
        elif clock := CLOCK_IN_TEXT.fullmatch(text):
            text = clock[1].strip()
    if "\\begin" in text and (layout := _layout(text, depth)):
        return layout
    if "mod" in text and (congruence := _congruence(text, depth)):
        return congruence
    if quantities := compound(text):
        return quantities
    stripped = _commas(text) if "and" in text.lower() or "or" in text.lower() else text
    if depth == 0 or "\\text" not in stripped:
        stripped = MEMBER.sub("", stripped, count=1) if MEMBER.match(stripped) else stripped
    if stripped is not text and (groups := _groups(text, depth)):
        return groups
    listed = _listed(stripped, depth)
    if listed:
        return listed
    if operation := _operation(stripped, depth):
        return operation
    relation = _relation(stripped, depth)
    if relation:
        return relation
    bracketed = _bracketed(stripped, depth)
    if bracketed:
        return bracketed
    if (
        (named := NAMED_POINT.match(stripped))
        and (point := _bracketed(stripped[named.end() :], depth))
        and point.kind == "tuple"
    ):
        return replace(point, text=named[0].strip())
    if line := _real_line(stripped):
        return read(line, depth + 1)
    rest, around = split_words(stripped)
    if around and not around.other and rest[:1] in ("(", "[", "\\") and (bracketed := _bracketed(rest, depth)):
        return bracketed
    return leaf(stripped)


def _commas(text: str) -> str:
    """With a comma for "and" and "or", but not where they are part of a text: ``\\text{ cm or inches}``."""
    parts: list[str] = []
    position = 0
    for other in OTHER_TEXT.finditer(text):
        if not AND.fullmatch(other[0]):
            parts += [AND.sub(", ", text[position : other.start()]), other[0]]
            position = other.end()
    return "".join([*parts, AND.sub(", ", text[position:])])


def _layout(text: str, depth: int) -> Shape | None:
    table = matrix(text)
    if table:
        label = f"{'|' if table.bars else ''}{len(table.rows)}x{len(table.rows[0])}"
        return Shape("matrix", label=label, parts=_read_all([cell for row in table.rows for cell in row], depth))
    line = system(text)
    if line is not None:
        return read(line, depth + 1)
    cases = branches(text)
    if cases is None:
        return None
    return Shape("cases", parts=tuple(Shape("branch", parts=_read_all(list(case), depth)) for case in cases))


def _congruence(text: str, depth: int) -> Shape | None:
    match = MODULUS.fullmatch(text) or BARE_MODULUS.fullmatch(text)
    if match is None:
        return None
    modulus = next(filter(None, match.groups()[1:]), "").strip()
    residue = match[1].strip()
    return Shape("congruence", parts=_read_all([residue, modulus], depth)) if residue and modulus else None


def _operation(text: str, depth: int) -> Shape | None:
    """An operation on sets; the weakest first."""
    for command, kind in (("\\cup", "union"), ("\\cap", "intersection"), ("\\setminus", "difference")):
        parts = split(text, (command,))
        if len(parts) > 1:
            return Shape(kind, parts=_read_all(parts, depth))
    whole = REALS.match(text)
    if (
        whole
        and (rest := text[whole.end() :].strip()).startswith("-")
        and rest[1:].strip().startswith(("\\{", "[", "("))
    ):
        return Shape("difference", parts=_read_all([whole[0], rest[1:]], depth))
    return None


def _real_line(text: str) -> str | None:
    line = REALS.match(text)
    if line is None:
        return None
    rest = re.sub(r"[{}\s]", "", text[line.end() :])
    return r"(-\infty,\infty)" if not rest else HALF_LINES.get(rest)


def _read_all(texts: list[str], depth: int) -> tuple[Shape, ...]:
    if len(texts) > MAX_PARTS:
        raise TooComplex("too many parts")
    return tuple(read(text, depth + 1) for text in texts)


def _listed(text: str, depth: int) -> Shape | None:
    if "," not in text and ";" not in text:
        return None
    parts = split(text, (";",))
    if len(parts) == 1:
        # Commas without a space between groups of three digits belong to a number.
        joined = THOUSANDS.sub(lambda match: match[1] + match[2].replace(",", THOUSAND), text)
        parts = split(joined if _outside(joined) else text, (",",))
        if len(parts) == 1:
            return None if joined == text or not _outside(joined) else read(joined, depth + 1)
    if any(not part.strip() for part in parts):
        return Shape("text", text=words(text)) if text.strip(" ,;") == "" else Shape("leaf", text=text)
    items = _read_all(parts, depth)
    letters = all(item.kind == "text" for item in items)
    ordered = letters and any(len(item.text) > 1 for item in items)
    return Shape("tuple", label=",,", parts=items) if ordered else Shape("list", parts=items)


def _groups(text: str, depth: int) -> Shape | None:
    """``p = 5, q = 2 and p = 7, q = 2``: "and" between solutions, commas inside; each names the same unknowns."""
    groups = [split(part, (",",)) for part in AND.split(text)]
    if len(groups) < 2 or any(len(group) < 2 or not all("=" in part for part in group) for group in groups):
        return None
    if len({tuple(sorted(part.partition("=")[0].strip() for part in group)) for group in groups}) > 1:
        return None
    return Shape("list", parts=_read_all([", ".join(group) for group in groups], depth))


def _outside(text: str) -> bool:
    """Whether the thousands that were joined stand outside brackets, where a comma could not separate coordinates."""
    depth = 0
    for character in text:
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == THOUSAND and depth > 0:
            return False
    return True


def _bracketed(text: str, depth: int) -> Shape | None:
    opening = next((o for o in ("\\{", "\\langle", "(", "[") if text.startswith(o)), None)
    if opening is None:
        return None
    closing = next((c for c in ("\\}", "\\rangle", ")", "]") if text.endswith(c)), None)
    if closing is None or not _encloses(text, opening, closing):
        return None
    inner = text[len(opening) : -len(closing)].strip()
    if opening == "\\{":
        builder = BUILDER.fullmatch(inner) if closing == "\\}" else None
        if builder and (condition := read(builder[2], depth + 1)).kind in ("relation", "list"):
            return as_interval(condition) or Shape("builder", text=builder[1], parts=(condition,))
        if closing != "\\}" or "|" in inner or "\\}" in inner or not inner:
            return Shape("leaf", text=text)
        return Shape("set", parts=_read_all(split(inner, (",", ";")), depth))
    if closing == "\\}":
        return None
    parts = split(inner, (",", ";"))
    if len(parts) > 1 or opening + closing == "[]":
        return Shape("tuple", label=_bracket(opening) + _bracket(closing), parts=_read_all(parts, depth))
    return read(inner, depth + 1) if opening == "(" and closing == ")" and inner else None


def _bracket(token: str) -> str:
    return {"\\langle": "<", "\\rangle": ">"}.get(token, token)


def _encloses(text: str, opening: str, closing: str) -> bool:
    """Whether the first bracket closes with the last."""
    depth = 0
    for position, token in tokens(text):
        if token in ("(", "[", "\\{", "\\langle", "{"):
            depth += 1
        elif token in (")", "]", "\\}", "\\rangle", "}"):
            depth -= 1
            if depth == 0:
                return position == len(text) - len(closing)
    return False


def _relation(text: str, depth: int) -> Shape | None:
    signs: list[str] = []
    sides: list[str] = []
    level, start = 0, 0
    for position, token in tokens(text):
        if token in ("(", "[", "{", "\\{"):
            level += 1
        elif token in (")", "]", "}", "\\}"):
            level -= 1
        elif level == 0 and position >= start and (match := RELATION.match(text, position)):
            signs.append({"<=": "\\le", ">=": "\\ge", "==": "="}.get(match[0], match[0]))
            sides.append(text[start:position])
            start = match.end()
    if not signs:
        return None
    sides.append(text[start:])
    if any(not side.strip() for side in sides) or len(sides) > 6:
        return Shape("leaf", text=text)
    return Shape("relation", label=" ".join(signs), parts=_read_all(sides, depth))


def expand_signs(shape: Shape) -> Shape:
    """``1 \\pm x`` as the list of both; inside a list, as two more of its items."""
    if shape.kind == "leaf" and SIGNS.search(shape.text):
        return Shape("list", parts=_both_signs(shape))
    if shape.kind in ("list", "set"):
        parts = [item for part in shape.parts for item in (_both_signs(part) if part.kind == "leaf" else (part,))]
        return replace(shape, parts=tuple(parts))
    return shape


def _both_signs(leaf: Shape) -> tuple[Shape, ...]:
    if not SIGNS.search(leaf.text):
        return (leaf,)
    flip = {"\\pm": ("+", "-"), "\\mp": ("-", "+")}
    return tuple(replace(leaf, text=SIGNS.sub(lambda m, k=k: flip[m[0]][k], leaf.text)) for k in (0, 1))  # type: ignore[misc]
