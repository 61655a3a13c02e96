r"""One value, word or number: what the words around it are, whether it is a text, a number in a base, a ratio or an expression.

Deliberately left out: anything with parts that are separated (:mod:`rlvr.verify.shape`).
"""

import re

from rlvr.verify.normalise import THOUSAND
from rlvr.verify.tree import MAX_PARTS, Shape
from rlvr.verify.units import TEXT, split_words
from rlvr.verify.vocabulary import KNOWN_SYMBOLS, KNOWN_WORDS

THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:,\d{3})+)(?!\d|,\d)", re.ASCII)
SPACED_THOUSANDS = re.compile(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?", re.ASCII)
MULTIPLES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
MULTIPLIER = re.compile(rf"(?<=\d)\s*(?:\\text\s*\{{\s*)?({'|'.join(MULTIPLES)})(?![A-Za-z])\s*\}}?")
QUANTITY = r"(-?\d+(?:\.\d+)?(?:/\d+)?)\s*([A-Za-z]+\.?)"
COMPOUND = re.compile(rf"{QUANTITY}(?:\s*,?\s*(?:and\s+)?{QUANTITY}){{1,3}}")
RATIO = re.compile(r"\s*[\d.]+(?:\s*:\s*[\d.]+)+\s*")
BASE = re.compile(r"\(?(?:\\text\s*)?\{?(-?[0-9A-Z.]+)\}?\)?_\{?(?:\\text\s*\{)?(\w+)\}?\}?")
WORDS_ONLY = re.compile(r"[A-Za-z][A-Za-z .,'/()-]*")
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


def leaf(text: str) -> Shape:
    """What a text is that nothing separates."""
    base = BASE.fullmatch(text.replace(" ", ""))
    if base and (base[2].isdecimal() or base[2] in NUMERALS) and any(c.isdigit() for c in base[1]):
        radix = str(int(NUMERALS.get(base[2], base[2])))
        if radix != "10":
            return Shape("base", text=base[1], label=radix)
        text = base[1]
    text = MULTIPLIER.sub(lambda match: f" \\cdot 10^{{{MULTIPLES[match[1]]}}}", text.replace(THOUSAND, ""))
    if "(" not in text:  # \\frac{12}{5,525}; a call or a point keeps its commas
        text = THOUSANDS.sub(lambda match: match[1] + match[2].replace(",", ""), text)
    rest, around = split_words(text)
    if SPACED_THOUSANDS.fullmatch(rest):
        rest = rest.replace(" ", "")
    for candidate in (text, rest):
        if "\\text" in candidate and not TEXT.sub("", candidate).strip(" ().,"):
            return _text(words(candidate))
    if RATIO.fullmatch(rest):
        parts = tuple(Shape("leaf", text=part.strip(), label=part) for part in rest.split(":"))
        return Shape("tuple", label="::", parts=parts, words=around)
    if WORDS_ONLY.fullmatch(rest) and _is_text(rest):
        return Shape("text", text=words(rest))
    return Shape("leaf", text=rest, label=text, words=around)


def compound(text: str) -> Shape | None:
    """``5 ft 6 in``, ``2 hours and 30 minutes``: quantities in known units, one after the other."""
    if not any(c.isalpha() for c in text):
        return None
    plain = TEXT.sub(r" \1 ", text).strip()
    if not COMPOUND.fullmatch(plain):
        return None
    quantities = re.findall(QUANTITY, plain)
    if not all(name.rstrip(".") in KNOWN_SYMBOLS or name.lower().rstrip(".") in KNOWN_WORDS for _, name in quantities):
        return None
    return Shape("tuple", label="units", parts=tuple(leaf(f"{number} \\text{{{name}}}") for number, name in quantities))


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
    return " ".join(re.sub(r"[()\"'{}\[\]]|\.(?!\d)|(?<!\d)!", " ", text).split())
