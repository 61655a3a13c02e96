r"""What kind of thing an answer is: a list, a tuple or interval, a set, a union, a matrix, a relation, a text, or one expression.

The shape is read from brackets and separators alone, so that ``(1,2]`` and ``(1,2)``, or a matrix and its transpose, can never
be confused by what their entries are worth. Bracketed pairs are not told apart into points and intervals: brackets must match.
"""

import re
from dataclasses import dataclass, field, replace

from rlvr.verify.normalise import ROW, THOUSAND
from rlvr.verify.units import APPROXIMATELY, PREFIX, TEXT, split_units

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
SIGNS = re.compile(r"\\[pm][mp](?![A-Za-z])")
MAX_PARTS = 200
MAX_DEPTH = 12

AND = re.compile(
    r"\s*,?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*,?\s*", re.IGNORECASE
)
THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:,\d{3})+)(?!\d|,\d)", re.ASCII)
SPACED_THOUSANDS = re.compile(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?", re.ASCII)
MATRIX = re.compile(
    r"([^{}&,]*(?:\{[^{}]*\}[^{}&,]*){0,4}?)\\begin\{([pbBvV]?|small)matrix\}(.*)\\end\{\2matrix\}", re.DOTALL
)
ARRAY = re.compile(
    r"([(\[])\s*\\begin\{(?:array|matrix)\}(?:\{[lcr| ]*\})?(.*)\\end\{(?:array|matrix)\}\s*([)\]])", re.DOTALL
)
MEMBER = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?\s*\\in\s*(?![A-Za-z])")
RELATION = re.compile(r"\\(?:le|ge|ne|approx|equiv|sim|to|Rightarrow|Leftrightarrow)(?![A-Za-z])|[<>=]=?")
MULTIPLES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
MULTIPLIER = re.compile(rf"(?<=\d)\s*(?:\\text\s*\{{\s*)?({'|'.join(MULTIPLES)})(?![A-Za-z])\s*\}}?")
QUANTITY_IN_TEXT = re.compile(r"\\text\s*\{\s*(-?[\d.][^{}]*)\}")
RATIO = re.compile(r"\s*[\d.]+(?:\s*:\s*[\d.]+)+\s*")
BASE = re.compile(r"\(?(?:\\text\s*)?\{?(-?[0-9A-Z.]+)\}?\)?_\{?(?:\\text\s*\{)?(\w+)\}?\}?")
WORDS_ONLY = re.compile(r"[A-Za-z][A-Za-z .,'/()-]*")
REALS = re.compile(r"\\mathbb\s*\{?\s*R\s*\}?")
NUMERALS = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
ALGEBRA = re.compile(r"sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|pi")


@dataclass(frozen=True)
class Shape:
    """One node.

    Attributes:
        kind: ``leaf``, ``text``, ``base``, ``tuple``, ``matrix``, ``relation``, ``system`` (x = 5, y = 2), and without order
            ``list``, ``set``, ``union``.
        label: brackets of a tuple, ``rows×columns`` of a matrix, the signs of a relation, the base of a number, a leaf with its
            units, ``upright`` for a ``\\text``.
        parts: the nodes inside.
        text: what a leaf says, without units.
        units: the known units around a leaf.
    """

    kind: str
    text: str = ""
    label: str = ""
    parts: tuple["Shape", ...] = ()
    units: frozenset[str] = field(default=frozenset())


class TooComplex(ValueError):
    """More parts or deeper nesting than an answer has."""


def read(text: str, depth: int = 0) -> Shape:
    """The shape of a normalised answer.

    Raises:
        TooComplex: beyond ``MAX_PARTS`` or ``MAX_DEPTH``.
    """
    if depth > MAX_DEPTH:
        raise TooComplex("nested too deeply")
    text = text.strip()
    if depth == 0:
        text = APPROXIMATELY.sub("", PREFIX.sub("", text)).strip()
        if quantity := QUANTITY_IN_TEXT.fullmatch(text):
            text = quantity[1].strip()
    if matrix := _matrix(text, depth):
        return matrix
    stripped = AND.sub(", ", text) if "and" in text.lower() or "or" in text.lower() else text
    if depth == 0 or "\\text" not in stripped:
        stripped = MEMBER.sub("", stripped, count=1) if MEMBER.match(stripped) else stripped
    listed = _listed(stripped, depth)
    if listed:
        return listed
    unions = split(stripped, ("\\cup",))
    if len(unions) > 1:
        return Shape("union", parts=_read_all(unions, depth))
    relation = _relation(stripped, depth)
    if relation:
        return relation
    bracketed = _bracketed(stripped, depth)
    if bracketed:
        return bracketed
    if REALS.fullmatch(stripped):
        return read(r"(-\infty,\infty)", depth + 1)
    return _leaf(stripped)


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
    for position, token in _tokens(text):
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
    for position, token in _tokens(text):
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


def _matrix(text: str, depth: int) -> Shape | None:
    match = MATRIX.fullmatch(text)
    array = None if match else ARRAY.fullmatch(text)
    if match is None and array is None:
        return None
    factor = match[1].strip().removesuffix("\\cdot").removesuffix("\\times").strip() if match else ""
    body = match[3] if match else array[2] if array else ""
    if "\\begin" in body or "=" in factor or (factor and match and match[2] in ("v", "V")):
        return None
    rows = [row.split("&") for row in body.replace("\\hline", "").split(ROW)]
    if rows and all(not cell.strip() for cell in rows[-1]):
        rows.pop()
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    bars = "|" if match and match[2] in ("v", "V") else ""
    cells = [f"{'-1' if factor == '-' else factor} * ({cell})" if factor else cell for row in rows for cell in row]
    return Shape("matrix", label=f"{bars}{len(rows)}x{len(rows[0])}", parts=_read_all(cells, depth))


def _leaf(text: str) -> Shape:
    base = BASE.fullmatch(text.replace(" ", ""))
    if base and (base[2].isdecimal() or base[2] in NUMERALS) and any(c.isdigit() for c in base[1]):
        return Shape("base", text=base[1], label=str(int(NUMERALS.get(base[2], base[2]))))
    text = MULTIPLIER.sub(lambda match: f" \\cdot 10^{{{MULTIPLES[match[1]]}}}", text.replace(THOUSAND, ""))
    if "(" not in text:  # \\frac{12}{5,525}; a call or a point keeps its commas
        text = THOUSANDS.sub(lambda match: match[1] + match[2].replace(",", ""), text)
    rest, units = split_units(text)
    if SPACED_THOUSANDS.fullmatch(rest):
        rest = rest.replace(" ", "")
    for candidate in (text, rest):
        if "\\text" in candidate and not TEXT.sub("", candidate).strip(" ().,"):
            return _text(words(candidate))
    if RATIO.fullmatch(rest):
        parts = tuple(Shape("leaf", text=part.strip(), label=part) for part in rest.split(":"))
        return Shape("tuple", label="::", parts=parts, units=units)
    if WORDS_ONLY.fullmatch(rest) and _is_text(rest):
        return Shape("text", text=words(rest))
    return Shape("leaf", text=rest, label=text, units=units)


def _text(text: str) -> Shape:
    """Of a ``\\text``: letters of choice are a list without order, words a list with one (it may be a ranking)."""
    parts = [part.strip() for part in re.split(r",|;|(?<![A-Za-z])and(?![A-Za-z])", text) if part.strip()]
    if len(parts) < 2:
        return Shape("text", text=text, label="upright")
    items = tuple(Shape("text", text=part, label="upright") for part in parts[:MAX_PARTS])
    return (
        Shape("tuple", label=",,", parts=items) if any(len(i.text) > 1 for i in items) else Shape("list", parts=items)
    )


def _is_text(text: str) -> bool:
    """A word rather than a product of variables: capitals, or more letters than a product has."""
    bare = text.strip(" ().,")
    if len(bare) < 2:
        return False
    if ALGEBRA.search(bare) or any(c in text for c in "/-("):
        longest = max((len(word) for word in re.findall("[A-Za-z]+", ALGEBRA.sub(" ", bare))), default=0)
        return longest > 4
    return bare.isupper() or len(bare) > 3


def words(text: str) -> str:
    """Letters, digits and inner signs of a text."""
    text = TEXT.sub(r" \1 ", text)
    return " ".join(re.sub(r"[()\"'.!?{}\[\]]", " ", text).split())


def split(text: str, separators: tuple[str, ...]) -> list[str]:
    """At the separators outside all brackets. A half-open interval's brackets count as a pair."""
    parts: list[str] = []
    level, start = 0, 0
    for position, token in _tokens(text):
        if token in ("(", "[", "{", "\\{", "\\langle"):
            level += 1
        elif token in (")", "]", "}", "\\}", "\\rangle"):
            level -= 1
        elif level == 0 and token in separators:
            parts.append(text[start:position])
            start = position + len(token)
    return [*parts, text[start:]]


def expand_signs(shape: Shape) -> Shape:
    """``1 \\pm x`` as the list of both; inside a list, as two more of its items."""
    if shape.kind == "leaf" and ("\\pm" in shape.text or "\\mp" in shape.text):
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


def _tokens(text: str) -> list[tuple[int, str]]:
    return [(match.start(), match[0]) for match in TOKEN.finditer(text)]
