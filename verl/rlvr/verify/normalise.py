r"""One spelling for what is only typography: unicode, spacing, sizes, fonts, delimiters' sizes, currency and percent signs.

Nothing here may join or drop what carries value: ``1,2`` stays two numbers, ``3 1/2`` keeps its space, braces keep their
groups. Deliberately left out: anything that needs to know what the answer is (units, lists: :mod:`rlvr.verify.shape`).
"""

import re
import unicodedata

from rlvr.verify.typography import NAMED, SUBSCRIPTS, SUPERSCRIPTS, SYMBOLS, VULGAR

INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\ue000\ue001"))

THOUSAND = "\ue000"  # a thousands separator that cannot be a list's comma
ROW = "\ue001"  # the end of a matrix row, which is no escape of what follows it

SPACES = re.compile(
    r"\\(?:(?:quad|qquad|enspace|enskip|thinspace|medspace|thickspace|negthinspace|hfill|space|nobreakspace)(?![A-Za-z])"
    r"|[hv]space\*?\s*\{[^{}]*\}|[mk]?kern\s*-?[\d.]+\s*[a-z]{2})|\\[;: \n>]|~|\s+"
)
ROWS = re.compile(
    r"\\\\\s*\*?(?:\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in|px|mu|pc|bp)\s*\])?|\\(?:newline|cr|tabularnewline)(?![A-Za-z])"
)
COLOURED = re.compile(
    r"\\(?:textcolor|colorbox|fcolorbox\s*\{[^{}]*\})\s*\{[^{}]*\}\s*(?=\{)|\\color\s*\{[^{}]*\}|\\bbox\s*\[[^\[\]]*\]\s*(?=\{)"
)
LABELS = re.compile(
    r"\\(?:tag\*?|label|[hv]?phantom)\s*\{[^{}]*\}|\\(?:nonumber|notag|qed|qedhere|blacksquare|hline|strut|mathstrut)(?![A-Za-z])"
)
ALIGNED = re.compile(r"\\(?:begin|end)\s*\{(?:equation|displaymath|math|center)\*?\}")
UPRIGHT_LETTER = re.compile(
    r"\\(?:mathrm|operatorname|mathop|mathit|text(?:rm|it|normal))\s*\{\s*([ei])\s*\}|\{\s*\\rm\s+([ei])\s*\}"
)
TAGS = re.compile(r"<(su[pb])>([^<>]{1,20})</\1>")
COMBINING = "\u0305"
OVERLINED = re.compile("(?:\\d\u0305)+")
DROPPED = re.compile(
    r"\\(?:displaystyle|displaylimits|textstyle|scriptstyle|limits|nolimits|left\.|right\.|left|right|[bB]igg?[lrm]?|mleft|mright"
    r"|bf|rm|it|tt|sf|sc|em|Huge|huge|LARGE|Large|large|normalsize|small|tiny|centering|bigl|bigr|middle)(?![A-Za-z])|\\!|\\/|\\allowbreak(?![A-Za-z])"
)
FONTS = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|mathit|mathsf|mathtt|mathnormal|bold|pmb|underline|uline|ensuremath|mathop|mathbin|mathrel|mathord"
    r"|mathopen|mathclose|mathstrut|rlap|llap|smash|emph|fbox|framebox|mathfrak|mathcal|mathscr|displaylines|scalebox\s*\{[^{}]*\})\s*(?=\{)"
)
TEXTS = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)|mathrm|mbox|hbox|textup|operatorname\*?)\s*(?=\{)")
POWERS_IN_TEXT = re.compile(r"\\text\s*\{[^{}]*(?:\^\{-?\d\}[^{}]*)+\}")
NO_WORDS = re.compile(r"\\text\s*\{([^{}A-Za-z\\]*\d[^{}A-Za-z\\]*)\}", re.ASCII)
UNIT = r"\\text\s*\{[^{}]*\}(?:\s*\^\s*(?:\{-?\d\}|\d))?"
FRACTION_OF_UNITS = re.compile(rf"\\frac\s*\{{\s*({UNIT})\s*\}}\s*\{{\s*({UNIT})\s*\}}")
INFINITY = re.compile(r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", re.IGNORECASE)
SURD = re.compile(r"\\surd\s*(?:(\d+(?:\.\d+)?|[A-Za-z])|(?=[({]))")
COMMAND = re.compile(r"\\[A-Za-z]+")


def normalise(text: str) -> str:
    """Typography removed. Idempotent; linear in the length of the text."""
    text = text.strip()
    if not text.isascii():
        text = _ascii(text)
    text = _unmarked(text)
    text = INFINITY.sub(r"\\infty", text)
    text = text.replace(r"\$", r"\dollar ").replace("$", "")
    if "\\" in text or "{" in text:
        text = UPRIGHT_LETTER.sub(lambda match: match[1] or match[2], text)
        text = ROWS.sub(ROW, text)
        text = COLOURED.sub("", text)
        text = LABELS.sub("", ALIGNED.sub("", text))
        text = re.sub(r"\\[()\[\]]", " ", text)
        text = DROPPED.sub("", text)
        text = COMMAND.sub(_named, text)
        text = TEXTS.sub(r"\\text", text)
        text = POWERS_IN_TEXT.sub(lambda match: re.sub(r"\^\{(-?\d)\}", r"^\1", match[0]), text)
        text = NO_WORDS.sub(r" \1 ", text)
        text = FRACTION_OF_UNITS.sub(r"\1/\2", text)
        text = FONTS.sub("", text)
        text = SURD.sub(_root, text)
        text = re.sub(r"\\\{\s*\\\}", r"\\emptyset", text)
        text = re.sub(r"(\d)(?:\\,|\\ |\{,\}|\{,\\!\}|\\;)(?=\d{3}(?!\d))", r"\1" + THOUSAND, text)
        text = text.replace(r"\,", " ").replace("{,}", ",")
        if text.endswith("\\") and not text.endswith(r"\\"):
            text = text[:-1]
    text = SPACES.sub(" ", text).strip()
    text = re.sub(r"\\text\s*\{[\s.,;]*\}", " ", text).strip(f" {ROW}")
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


def _unmarked(text: str) -> str:
    """Without the marks of Markdown around it, and with HTML's as LaTeX."""
    if "<" in text:
        text = TAGS.sub(lambda match: f"{'^' if match[1] == 'sup' else '_'}{{{match[2]}}}", text)
    for mark in ("**", "__", "`", '"', "*"):
        if (
            len(text) > 2 * len(mark)
            and text.startswith(mark)
            and text.endswith(mark)
            and mark not in text[len(mark) : -len(mark)]
        ):
            text = text[len(mark) : -len(mark)].strip()
    return text


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
    text = OVERLINED.sub(lambda match: rf"\overline{{{match[0].replace(COMBINING, '')}}}", text.translate(INVISIBLE))
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
    return SURD.sub(_root, text)


def _root(match: re.Match[str]) -> str:
    return rf"\sqrt{{{match[1]}}}" if match[1] else r"\sqrt"
