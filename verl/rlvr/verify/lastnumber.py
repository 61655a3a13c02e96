r"""The last resort of extraction: the last number or formula of a response, with everything that belongs to it.

``x = 2^3`` is no 3, "3, 7 and 12" no 12, "5:12" no 12, "not 42" and "42 or more" no 42, 42nd and 42k no numbers: where the last of
them is part of something that is no answer, there is none. Deliberately left out: an earlier number.
"""

import re

from rlvr.verify.phrases import bare, taken_back

LAST = 10_000  # characters from the end that are searched
RUN = re.compile(
    r"\$\$.+?\$\$|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\]"  # what is set as mathematics, or is made of its characters
    r"|(?:(?:\\(?!f?box)[A-Za-z]+|\\[%$!,;{}]|(?<![A-Za-z])[A-Za-z](?![A-Za-z'’])|[€£₹¥%°√π]|(?<![A-Za-z])\d+(?:[.,]\d+)*|\.\d+"
    r"|[-+*/^_=<>(){}\[\]|!:×·−])[ \t]?)+",
    re.DOTALL,
)
A_VALUE = re.compile(r"\d|\\(?:pi|infty|sqrt|frac)|\$")
BETWEEN = re.compile(
    r"\s*(?:,|;|and|or|to|by|times|plus|minus|of|over|divided by|through|versus|vs\.?)\s*(?:,|;|and|or)?\s*",
    re.IGNORECASE,
)
BEFORE = re.compile(
    r"(?:\b(?:not|no|never|about|approximately|around|roughly|nearly|almost|over|under|least|most|than|to|maybe|perhaps|either|half"
    r"|twice|except|without"
    r"|step|case|problem|question|exercise|page|equation|eq|figure|part|line|section|chapter|theorem|lemma)|n't)\.?\s*"
    r"(?:(?:be|equal|equal to|exactly|the|a|of)\s*)*$",
    re.IGNORECASE,
)
AFTER = re.compile(
    r"\s*(?:(?:or|and|to|times|more|less|fewer|half|squared|cubed|factorial|percent more|at most|at least)\b|\?|[A-Za-z0-9_]*\d"
    r"|hundred|thousand|million|billion|dozen|halves|thirds?|fourths|fifths|tenths)",
    re.IGNORECASE,
)


def last_number(text: str) -> str | None:
    """The last number or formula, whole; None where there is none, or it is no answer."""
    text = text[-LAST:]
    runs = [match for match in RUN.finditer(text) if A_VALUE.search(match[0])]
    if not runs:
        return None
    start, end = runs[-1].start(), runs[-1].start() + len(runs[-1][0].rstrip())
    for earlier in reversed(runs[:-1]):
        if not BETWEEN.fullmatch(text[earlier.end() : start]):
            break
        start = earlier.start()
    part_of_a_word = text[end : end + 1].isalnum() or (start > 0 and text[start - 1].isalnum())
    if (
        part_of_a_word
        or AFTER.match(text, end)
        or BEFORE.search(text[max(0, start - 40) : start])
        or taken_back(text[end:])
    ):
        return None
    return bare(text[start:end].rstrip().rstrip("."))
