r"""The words around a number: units, currency, "The answer is". They never change a value, and only contradict each other.

``5\text{ cm}`` is 5 and ``440\text{ cm}^2`` is 440, whatever the gold's habit; but centimetres are not metres and per cent are
not degrees. Deliberately left out: conversion (200 cents for \$2): a value is compared as it is written.
"""

import re

from rlvr.verify.expression import FUNCTIONS

ALIASES = {
    "dollar": "dollar dollars usd buck bucks",
    "cent": "cent cents ¢",
    "euro": "euro euros eur",
    "pound": "pounds sterling gbp",
    "percent": "percent pct percentage %",
    "degree": "degree degrees deg",
    "celsius": "c celsius",
    "fahrenheit": "f fahrenheit",
    "radian": "radian radians rad rads",
    "millimetre": "mm millimeter millimeters millimetre millimetres",
    "centimetre": "cm cms centimeter centimeters centimetre centimetres",
    "metre": "m meter meters metre metres",
    "kilometre": "km kms kilometer kilometers kilometre kilometres",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yds yard yards",
    "mile": "mi mile miles",
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "gram": "g gram grams",
    "kilogram": "kg kgs kilogram kilograms",
    "weight pound": "lb lbs pound",
    "ounce": "oz ounce ounces",
    "litre": "l liter liters litre litres",
    "millilitre": "ml milliliter milliliters millilitre millilitres",
    "gallon": "gal gallon gallons",
    "mile/hour": "mph",
    "kilometre/hour": "kmh kph",
    "unit": "unit units",
    "am": "am",
    "pm": "pm noon",
}
KNOWN = {word: unit for unit, words in ALIASES.items() for word in words.split()}
GENERIC = {"square", "sq", "cubic", "per", "and", "of", "the", "a", "an", "each"}
POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cubed": 3}
FUNCTION_WORDS = {*FUNCTIONS, "asin", "acos", "atan", "pi", "or", "and"}

TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
POWER = r"(?:\s*\^\s*\{?\s*([23])\s*\}?)?"
PREFIX = re.compile(
    r"^(?:\\text\s*\{[^{}]*(?:\bis|\bare|:|=|\bequals)\s*\}\s*:?|(?:the )?(?:final )?answer\b(?: is)?\s*[:=]?|[:=])\s*",
    re.IGNORECASE,
)
APPROXIMATELY = re.compile(r"^\\approx(?![A-Za-z])\s*")
RATE = re.compile(r"(?<=[\d)}])\s+([a-z]{1,3})/([a-z]{1,3})\s*$")
CLOCK = re.compile(r"(?<=\d)\s*(?:\\text\s*\{\s*)?([ap])\.?\s?m\.?\s*\}?$", re.IGNORECASE)
MODIFIERS = frozenset({"or", "more", "less", "fewer", "than", "least", "most", "not", "dozen", "half", "minus", "plus"})
TRAILING_TEXT = re.compile(r"(?:\\text\s*\{([^{}]*)\})" + POWER + r"\s*$")
TRAILING_WORDS = re.compile(
    r"(?<=[\d)}A-Za-z])(\s*)((?:(?<![A-Za-z\\])[A-Za-z]{2,}\.?(?:\s|/|(?=\^)|$)\s*)+)" + POWER + r"\s*$"
)
TRAILING_SIGN = re.compile(
    r"(\\%|%|\^\{?\s*\\circ\s*\}?\s*(?:\\text\s*\{\s*)?[CF]?\s*\}?|\\dollar|\\euro|\\pounds|\\cents)\s*$"
)
LEADING_SIGN = re.compile(r"^(-?)\s*(?:\\(dollar|euro|pounds)|USD)\s*(-?)")
TRIGONOMETRY = re.compile(r"sin|cos|tan|cot|sec|csc")


def split_units(text: str) -> tuple[str, frozenset[str]]:
    """(what is left, the known units) of a normalised answer. What is left is empty where all was text."""
    units: set[str] = set()
    leading = LEADING_SIGN.match(text)
    if leading:
        units.add({"euro": "euro", "pounds": "pound"}.get(leading[2], "dollar"))
        text = leading[1] + leading[3] + text[leading.end() :]
    for _ in range(4):
        rest = _strip_one(text, units)
        if rest is None or not rest.strip():
            break
        text = rest.strip()
    return text, frozenset(units)


def _strip_one(text: str, units: set[str]) -> str | None:
    sign = TRAILING_SIGN.search(text)
    if sign and not (sign[1].startswith("^") and TRIGONOMETRY.search(text)):
        units.add(_sign_unit(sign[1]))
        return text[: sign.start()]
    clock = CLOCK.search(text) if ":" in text else None
    if clock:
        units.add(clock[1].lower() + "m")
        return text[: clock.start()]
    rate = RATE.search(text)
    if rate and rate[1] in KNOWN and rate[2] in KNOWN:
        units.update(known_units(f"{rate[1]} {rate[2]}"))
        return text[: rate.start()]
    found = TRAILING_TEXT.search(text)
    if found and not _is_math_word(found[1]) and not MODIFIERS & set(found[1].lower().split()):
        units.update(known_units(found[1], found[2]))
        return text[: found.start()]
    words = TRAILING_WORDS.search(text)
    if words and _are_unit_words(words[2], spaced=bool(words[1])):
        units.update(known_units(words[2], words[3]))
        return text[: words.start()]
    return None


def _is_math_word(text: str) -> bool:
    """``\\text{i}``, ``\\text{or}``: what is set upright but is no unit."""
    return text.strip() in ("i", "e", "or", "and")


def _are_unit_words(text: str, spaced: bool) -> bool:
    words = re.findall(r"[a-z]+", text.lower())
    if any(word in FUNCTION_WORDS or word in MODIFIERS for word in words):
        return False
    return all(word in KNOWN or word in GENERIC or word in POWERS or (spaced and len(word) > 3) for word in words)


def _sign_unit(sign: str) -> str:
    if sign.startswith("^"):
        letter = re.sub(r"circ|text", "", sign)
        return "celsius" if "C" in letter else "fahrenheit" if "F" in letter else "degree"
    return {"\\euro": "euro", "\\pounds": "pound", "\\dollar": "dollar", "\\cents": "cent"}.get(sign, "percent")


def known_units(text: str, power: str | None = None) -> set[str]:
    r"""``" square cm"`` and (``"cm"``, ``"2"``) are ``{"centimetre^2"}``; words that are no units are ignored."""
    words = re.findall(r"[a-z%]+", text.lower().replace("p.m.", "pm").replace("a.m.", "am"))
    exponents = [POWERS[word] for word in words if word in POWERS]
    exponent = int(power) if power else exponents[0] if exponents else 1
    found = [KNOWN[word] for word in words if word in KNOWN]
    if len(found) > 1:
        return {"/".join(found)}  # miles per hour
    return {f"{unit}^{exponent}" if exponent > 1 else unit for unit in found}


def conflict(gold: frozenset[str], prediction: frozenset[str]) -> bool:
    """Whether both name a unit and no two agree; "square units" agrees with square centimetres, not with cubic ones."""
    return bool(gold) and bool(prediction) and not any(_agree(g, p) for g in gold for p in prediction)


def _agree(one: str, other: str) -> bool:
    (name, _, power), (other_name, _, other_power) = one.partition("^"), other.partition("^")
    return power == other_power and (name == other_name or "unit" in (name, other_name))
