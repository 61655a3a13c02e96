r"""The words around a number: units, currencies, names of what is counted. They never change a value, they can only contradict.

``5\text{ cm}`` is 5 and ``440\text{ cm}^2`` is 440, whatever the gold's habit; but centimetres are not metres and boys are not
girls. What may stand there is a closed list (:mod:`rlvr.verify.vocabulary`); any other word makes another answer, unless the gold
has the same: ``42\text{ (or 43)}``, ``42\text{k}``, ``5\text{ tenths}``. Deliberately left out: conversion (200 cents for \$2):
a value is compared as it is written.
"""

import re
from dataclasses import dataclass

from rlvr.verify.expression import FUNCTIONS
from rlvr.verify.vocabulary import (
    COMPOUND,
    DESCRIPTIONS,
    FILLERS,
    INVARIANT,
    KNOWN_SYMBOLS,
    KNOWN_WORDS,
    NOUNS,
    singular,
)

TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
SIGNS = {
    "\\%": "%", "%": "%", "\\dollar": "dollar", "\\euro": "euro", "\\pounds": "sterling", "\\cents": "cent", "\\yen": "yen",
    "\\rupee": "rupee", "\\won": "won", "\\Omega": "Ω", "\\mu": "μ", "\\AA": "angstrom", "\\per": "/",
}  # fmt: skip
EITHER = frozenset({"yen", "yuan"})  # share one sign
BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
AFTER = {"squared": 2, "cubed": 3}
DEGREE = r"\^\s*\{?\s*\\circ\s*\}?"
SIGN = r"\\%|%|\\(?:dollar|euro|pounds|cents|yen|rupee|won|Omega|AA)(?![A-Za-z])"
WORD = r"(?<![A-Za-z\\])(?:[A-Za-z]{2,}\.?|[\u4e00-\u9fff]+)"
START = re.compile(rf"\(?\\text\s*\{{|{DEGREE}|{SIGN}|\\mu(?=\s*\\text)|{WORD}")
TAIL = re.compile(
    rf"(?:\\text\s*\{{[^{{}}]*\}}|{DEGREE}|{SIGN}|\\mu|{WORD}|\^\s*(?:\{{\s*-?\d\s*\}}|-?\d)|/|\\cdot|\\times|[.,()\s]"
    r"|(?<=[\s}/])[A-Za-z](?![A-Za-z]))*"
)
# Written as in a sentence, 9.8 m/s^2: single letters are units only here, a bare "5 m" may be five times m.
RATE = re.compile(r"(?<=[\d)}])\s+([A-Za-z]{1,4})\s*/\s*([A-Za-z]{1,4})(?:\^\{?\d\}?|²)?\s*$")
LEADING = re.compile(
    r"^(-?)\s*(?:\\text\s*\{\s*)?(?:US|A|C|HK)?\s*(?:\\(dollar|euro|pounds|yen|rupee|won)(?![A-Za-z])"
    r"|(USD|EUR|GBP|CNY|RMB|JPY|INR|Rs\.?|Re\.?)(?![A-Za-z]))\s*\}?\s*(-?)\s*"
)
CLOCK = re.compile(
    r"(?<=\d)\s*(?:\\text\s*\{\s*)?([ap])\.?\s?m\.?\s*\}?$|(?<=\d)\s*(?:\\text\s*\{\s*)?(noon)\s*\}?$", re.IGNORECASE
)
TOGETHER = re.compile(r"\bin (?:total|all)\b", re.IGNORECASE)
TOKEN = re.compile(r"\^-?\d|/|[A-Za-zμΩ¢$]+|%|[\u4e00-\u9fff]+|[^\s.,()~]")
TRIGONOMETRY = re.compile(r"sin|cos|tan|cot|sec|csc")
MATH_WORDS = frozenset({*FUNCTIONS, "gcd", "lcm", "max", "asin", "acos", "atan", "pi", "or", "and", "mod", "i", "e"})
GLUED = frozenset(
    ["am", "pm", "mi", "in", "ha", "as", "pc", "ly", "re", "rs"]
)  # two letters that are a product where they touch a number


@dataclass(frozen=True)
class Words:
    """What stands beside a number.

    Attributes:
        units: (unit, power), without order; ``m/s^2`` is {(metre, 1), (second, -2)}.
        things: what is counted, singular, with its descriptions.
        other: everything else, in order; it belongs to the answer.
    """

    units: frozenset[tuple[str, int]] = frozenset()
    things: frozenset[str] = frozenset()
    other: tuple[str, ...] = ()

    def __or__(self, more: "Words") -> "Words":
        return Words(self.units | more.units, self.things | more.things, self.other + more.other)

    def __bool__(self) -> bool:
        return bool(self.units or self.things or self.other)

    def has(self, unit: str) -> bool:
        return (unit, 1) in self.units


NOTHING = Words()


def split_words(text: str) -> tuple[str, Words]:
    """(what is left, the words around it) of a normalised answer; all of it is left where there is nothing but words."""
    words = NOTHING
    leading = LEADING.match(text)
    if leading and text[leading.end() :].strip():
        name = leading[2] or leading[3].lower().rstrip(".")
        words |= classify(SIGNS.get("\\" + name, name))
        text = leading[1] + leading[4] + text[leading.end() :]
    clock = CLOCK.search(text) if ":" in text or "\\text" in text else None
    if clock:
        return text[: clock.start()].strip(), words | Words(frozenset({((clock[1] or "p").lower() + "m", 1)}))
    start = _tail(text)
    if start is None or not text[:start].strip():
        return text, words
    rest = text[:start].strip().removesuffix("\\cdot").removesuffix("\\times").strip()
    tail = classify(_plain(text[start:]), single=rest in ("1", "-1") or rest.startswith(("\\frac", "0.")))
    return (text, words) if "\\text" not in text[start:] and tail.other else (rest, words | tail)


def _tail(text: str) -> int | None:
    """Where the words after an expression begin."""
    rate = RATE.search(text)
    if rate and all(word in KNOWN_SYMBOLS or word in KNOWN_WORDS for word in (rate[1], rate[2])):
        return rate.start()
    for match in START.finditer(text):
        token, start = match[0], match.start()
        if token.startswith("^") and TRIGONOMETRY.search(text):
            return None
        if "\\text" in token:
            inside = TEXT.match(text, text.index("\\", start))
            if inside is None or inside[1].strip() in MATH_WORDS:
                continue
        if token[0].isalpha() and not _is_word(token.rstrip("."), glued=text[start - 1 : start].isalnum()):
            continue
        return start if TAIL.fullmatch(text, start) and _level(text[:start]) == 0 else None
    return None


def _level(text: str) -> int:
    return sum(text.count(c) for c in "({[") - sum(text.count(c) for c in ")}]")


def _is_word(token: str, glued: bool) -> bool:
    """Whether bare letters are a unit or a noun rather than a product of variables."""
    if token in MATH_WORDS or (glued and token.lower() in GLUED):
        return False
    lower = token.lower()
    known = lower in KNOWN_WORDS or token in KNOWN_SYMBOLS or lower in COMPOUND or lower in BEFORE or lower in FILLERS
    return known or singular(lower) in NOUNS or lower in DESCRIPTIONS


def _plain(tail: str) -> str:
    """The tail as one would type it: ``\\text{ m}/\\text{s}^2`` is "m/s ^2"."""
    tail = re.sub(DEGREE + r"\s*(?:\\text\s*\{\s*([CF])\s*\}|([CF])(?![A-Za-z]))", r" deg\1\2 ", tail)
    tail = re.sub(DEGREE, " degree ", tail)
    tail = re.sub(r"\^\s*(?:\{\s*(-?\d)\s*\}|(-?\d))", r"^\1\2 ", tail)
    tail = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", tail)
    tail = re.sub(r"\\[A-Za-z]+|\\%", lambda match: f" {SIGNS.get(match[0], '')} ", tail)
    return re.sub(r"μ\s+", "μ", tail)


def classify(text: str, single: bool = True) -> Words:
    """The words of a plain text; ``single``: a noun may be in the singular."""
    text = TOGETHER.sub(" ", text.replace("p.m.", "pm").replace("a.m.", "am").replace("per cent", "%"))
    units: dict[str, int] = {}
    things: set[str] = set()
    other: list[str] = []
    sign, before, last, noun, plural = 1, 1, "", False, False
    for token in TOKEN.findall(text):
        lower = token.lower()
        if token in ("/", "per") or lower == "per":
            sign, last = -1, ""
        elif len(token) > 1 and token[0] == "^" and last:
            units[last] = units[last] * int(token[1:])
        elif lower in BEFORE:
            before = BEFORE[lower]
        elif lower in AFTER and last:
            units[last] = units[last] * AFTER[lower]
        elif lower in ("degc", "degf") or (last == "degree" and token in ("C", "F")):
            units.pop("degree", None)
            last = "celsius" if token[-1] == "C" else "fahrenheit"
            units[last] = 1
        elif token in KNOWN_SYMBOLS or lower in KNOWN_WORDS:
            last = KNOWN_SYMBOLS[token] if token in KNOWN_SYMBOLS else KNOWN_WORDS[lower]
            if last == "pound" and units:
                last = "pound mass"
            units[last] = units.get(last, 0) + sign * before
            sign = before = 1
        elif lower in COMPOUND:
            units |= COMPOUND[lower]
        elif singular(lower) in NOUNS or lower in DESCRIPTIONS:
            things.add(singular(lower) if singular(lower) in NOUNS else lower)
            noun |= lower not in DESCRIPTIONS
            sign = 1
            plural |= singular(lower) in NOUNS and (
                singular(lower) != lower or lower in INVARIANT or not lower.isascii()
            )
        elif lower not in FILLERS:
            other.append(lower)
    if things and not (plural or (single and noun) or units):
        other.extend(sorted(things))
    if before != 1:
        other.append("power")
    if sign == -1:
        other.append("per")
    return Words(frozenset((unit, power) for unit, power in units.items() if power), frozenset(things), tuple(other))


def conflict(gold: Words, found: Words) -> bool:
    """Whether the words make two answers of one value: words that are not on the list, and units or things that differ."""
    if gold.other != found.other:
        return True
    if gold.things and found.things and not (gold.things <= found.things or found.things <= gold.things):
        return True
    if gold.units and found.units:
        return not _same_units(gold.units, found.units)
    # boys are not metres
    return bool((gold.units and found.things) or (gold.things and found.units)) and not (gold.things and gold.units)


def _same_units(gold: frozenset[tuple[str, int]], found: frozenset[tuple[str, int]]) -> bool:
    """ "square units" agrees with square centimetres, not with cubic ones; degrees with degrees Celsius."""
    if gold == found:
        return True
    if len(gold) != 1 or len(found) != 1:
        return False
    ((one, power),), ((other, other_power),) = gold, found
    names = {one, other}
    alike = (
        "unit" in names or (names <= {"pound", "pound mass", "pound sterling"} and "pound" in names) or names <= EITHER
    )
    return power == other_power and (alike or ("degree" in names and bool(names & {"celsius", "fahrenheit"})))
