r"""Multiple choice: the letter of an answer, and the text that may stand behind it: ``\textbf{(A) }42``, ``A. 42``.

Deliberately left out: which letter belongs to which text; only the question says that.
"""

import re

OTHER_CHOICE = re.compile(r"(?<![A-Za-z\\])(?:[A-J]|or|and|not)(?![A-Za-z])")
CHOICE = re.compile(
    r"(?:\\text\s*\{\s*)?(?:\(([A-J])\)|([A-J])(?=[).:]|\s*\\text\s*\{\s*[).:]))[).:]?\s*\}?[).:]?(?:\s|~|\\text\s*\{\s*\}|:)*(.*)",
    re.DOTALL,
)


def choice(text: str) -> tuple[str, str]:
    """(letter, its text) of a choice; a lone letter has no text, a text that is no choice no letter."""
    match = CHOICE.fullmatch(text)
    if match and not OTHER_CHOICE.search(match[3]):
        return match[1] or match[2], match[3].strip()
    letter = re.fullmatch(r"(?:\\text\s*\{\s*)?([A-J])\s*\}?", text)
    return (letter[1], "") if letter else ("", text)
