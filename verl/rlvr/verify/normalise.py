r"""One spelling for what is only typography: unicode, spacing, sizes, fonts, delimiters' sizes, currency and percent signs.

Nothing here may join or drop what carries value: ``1,2`` stays two numbers, ``3 1/2`` keeps its space, braces keep their
groups. Deliberately left out: anything that needs to know what the answer is (units, lists: :mod:`rlvr.verify.shape`).
"""

import re
import unicodedata

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n"))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
VULGAR = {"½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45", "⅙": "16"}
VULGAR |= {"⅚": "56", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78", "⅐": "17", "⅑": "19"}
SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*",
    "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ",
    "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "°": r"^\circ ",
    "º": r"^\circ ", "∅": r"\emptyset ", "ø": r"\emptyset ", "ℝ": r"\mathbb{R}", "θ": r"\theta ", "α": r"\alpha ",
    "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi ", "ω": r"\omega ", "μ": r"\mu ", "⟨": r"\langle ",
    "⟩": r"\rangle ", "…": r"\ldots ", "€": r"\euro ", "£": r"\pounds ", "¢": r"\cents ", "′": "'", "’": "'", "⊥": r"\perp ",
    "√": r"\surd ", "∛": r"\sqrt[3]", "∠": r"\angle ", "△": r"\triangle ", "‐": "-", "‑": "-",
}  # fmt: skip
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\ue000\ue001"))

THOUSAND = "\ue000"  # a thousands separator that cannot be a list's comma
ROW = "\ue001"  # the end of a matrix row, which is no escape of what follows it

SPACES = re.compile(
    r"\\(?:quad|qquad|enspace|thinspace|hspace\{[^{}]*\}|phantom\{[^{}]*\})(?![A-Za-z])|\\[;: \n>]|~|\s+"
)
DROPPED = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|left\.|right\.|left|right|[bB]igg?[lrm]?|mleft|mright"
    r"|bf|rm|it|tt|Large|large|small|phantom)(?![A-Za-z])|\\!"
)
FONTS = re.compile(r"\\(?:mathbf|boldsymbol|bm|mathit|mathsf|mathtt|mathnormal|bold|pmb|underline|ensuremath)\s*(?=\{)")
TEXTS = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)|mathrm|mbox|hbox|textup|operatorname\*?)\s*(?=\{)")
NAMED = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\sfrac": r"\frac", r"\leq": r"\le", r"\geq": r"\ge",
    r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\lt": "<", r"\gt": ">", r"\neq": r"\ne", r"\degree": r"^\circ",
    r"\degrees": r"^\circ", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(",
    r"\rparen": ")", r"\ast": "*", r"\div": "/", r"\varnothing": r"\emptyset", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\vert": "|", r"\lvert": "|", r"\rvert": "|", r"\mid": "|", r"\land": r"\text{and}", r"\lor": r"\text{or}",
    r"\imath": "i", r"\Reals": r"\mathbb{R}", r"\R": r"\mathbb{R}", r"\textdollar": r"\$", r"\colon": ":", r"\ldots": r"\dots",
    r"\cdots": r"\dots", r"\bmod": r"\mod", r"\tan^{-1}": r"\arctan", r"\iff": r"\Leftrightarrow", r"\percent": r"\%",
}  # fmt: skip
INFINITY = re.compile(r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", re.IGNORECASE)
COMMAND = re.compile(r"\\[A-Za-z]+")


def normalise(text: str) -> str:
    """Typography removed. Idempotent; linear in the length of the text."""
    text = text.strip()
    if not text.isascii():
        text = _ascii(text)
    text = INFINITY.sub(r"\\infty", text)
    text = text.replace(r"\$", r"\dollar ").replace("$", "")
    if "\\" in text or "{" in text:
        text = text.replace(r"\\", ROW)
        text = re.sub(r"\\[()\[\]]", " ", text)
        text = DROPPED.sub("", text)
        text = COMMAND.sub(_named, text)
        text = TEXTS.sub(r"\\text", text)
        text = FONTS.sub("", text)
        text = re.sub(r"\\\{\s*\\\}", r"\\emptyset", text)
        text = re.sub(r"(\d)(?:\\,|\\ |\{,\}|\{,\\!\}|\\;)(?=\d{3}(?!\d))", r"\1" + THOUSAND, text)
        text = text.replace(r"\,", " ").replace("{,}", ",")
    text = SPACES.sub(" ", text).strip()
    text = re.sub(r"\\text\s*\{\s*\}", "", text)
    # The full stop of the sentence that the answer ended.
    while text.endswith((".", ",", ";")) and not text.endswith("..") and len(text) > 1:
        text = text[:-1].rstrip().removesuffix("\\")
    return _unwrap(text)


def canonical(text: str) -> str:
    """Of a normalised text: spaces and optional braces gone; equal strings are the same answer."""
    text = re.sub(r"(?<!\d) | (?!\d)", "", text).replace(THOUSAND, "")
    return re.sub(r"([_^])\{(\w)\}", r"\1\2", text)


def _named(match: re.Match[str]) -> str:
    return NAMED.get(match[0], match[0])


def _unwrap(text: str) -> str:
    """``{13382}`` → ``13382``."""
    while len(text) > 1 and text[0] == "{" and text[-1] == "}":
        depth = 0
        for position, character in enumerate(text):
            depth += (character == "{") - (character == "}")
            if depth == 0 and position < len(text) - 1:
                return text
        text = text[1:-1].strip()
    return text


def _ascii(text: str) -> str:
    text = text.translate(INVISIBLE)
    out: list[str] = []
    raised = lowered = False
    for character in text:
        if (character in SUPERSCRIPTS) != raised:
            raised = not raised
            out.append("^{" if raised else "}")
        if (character in SUBSCRIPTS) != lowered:
            lowered = not lowered
            out.append("_{" if lowered else "}")
        if raised:
            out.append(SUPERSCRIPTS[character])
        elif lowered:
            out.append(SUBSCRIPTS[character])
        elif character in VULGAR:
            out.append(rf"\frac{{{VULGAR[character][0]}}}{{{VULGAR[character][1]}}}")
        else:
            out.append(SYMBOLS.get(character) or unicodedata.normalize("NFKC", character))
    if raised or lowered:
        out.append("}")
    text = "".join(out).replace(r"\surd \surd", r"\surd")
    return re.sub(r"\\surd\s*(?:(\d+(?:\.\d+)?|[A-Za-z])|(?=[({]))", _root, text)


def _root(match: re.Match[str]) -> str:
    return rf"\sqrt{{{match[1]}}}" if match[1] else r"\sqrt"
