r"""Boxes in a response: ``\boxed{…}``, ``\fbox{…}``, ``\boxed 5``.

An empty box is no answer and hides none; a box that is still open at the end is an answer that was cut off, and then there is none.
Boxes that only "or", "and" or a comma joins are one answer, a list. Deliberately left out: what is in the box.
"""

import re

COMMAND = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])|\x08oxed(?![A-Za-z])|(?<![A-Za-z\\])boxed(?=\s*\{)")
TOKEN = re.compile(r"\\[A-Za-z]+|-?\d+(?:\.\d+)?|(?![A-Za-z]{2})[^\s{}$.,;:!?)*_`]", re.ASCII)
BRACE = re.compile(r"\\[\\{}]|[{}]|\n\s*\n")
JOINT = re.compile(r"(?:[\s$,;~&]|\\[,;:!\s()\[\]]|\\q?quad|\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|\b(?:and|or)\b)*")
CONNECTOR = re.compile(r"[,;&]|and|or")
MAX_NESTED = 20  # boxes in boxes; bounds the work on a response of nothing but boxes
MAX_BOXES = 400  # counted from the end


class OpenBox(ValueError):
    """The response ends inside a box; ``content`` is what there is of it."""

    def __init__(self, content: str) -> None:
        super().__init__("a box is never closed")
        self.content = content


def last_boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of the outermost boxes that are not empty, in order.

    Raises:
        OpenBox: if the last box is never closed.
    """
    found: list[tuple[int, int, str]] = []
    starts = [match.start() for match in COMMAND.finditer(text)][-MAX_BOXES:]
    position = 0
    opened: str | None = None
    for start in starts:
        if start < position:
            continue
        end, content = _box(text, start)
        if end is None:
            if content is not None:
                opened = content
                break
            continue
        position = end
        if content is not None and content.strip():
            found.append((start, end, _unbox(content).strip()))
    if opened is not None:
        raise OpenBox(_unbox(opened).strip())
    return found


def boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed`` or ``\fbox``, without boxes inside; None if there is none or it is not closed."""
    try:
        boxes = last_boxes(text)
    except OpenBox:
        return None
    return boxes[-1][2] if boxes else None


def answer_in_boxes(text: str, several: int = 1) -> str | None:
    """The answer that the last boxes give: the last one, with those that are joined to it.

    ``several``: how many answers the gold has; as many boxes in the last paragraph that has any are taken together.

    Raises:
        OpenBox: as :func:`last_boxes`.
    """
    boxes = last_boxes(text)
    if not boxes:
        return None
    joined = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        between = text[box[1] : joined[0][0]]
        if not JOINT.fullmatch(between) or not CONNECTOR.search(between) or "\n\n" in between:
            break
        joined.insert(0, box)
    if several > 1 and len(joined) == 1:
        paragraph = text.rfind("\n\n", 0, boxes[-1][0])
        last = [box for box in boxes if box[0] > paragraph]
        joined = last if len(last) == several else joined
    contents = [content for _, _, content in joined]
    return contents[-1] if len(set(contents)) == 1 else "; ".join(contents)


def _box(text: str, start: int) -> tuple[int | None, str | None]:
    """(end, content) of the box at ``start``; (None, content so far) if it is open at the end, (None, None) if it is no box."""
    command = COMMAND.match(text, start)
    assert command is not None
    position = command.end()
    while position < len(text) and text[position] in " \t\n":
        position += 1
    if position >= len(text) or text[position] != "{":
        token = TOKEN.match(text, position) if text[start] == "\\" else None
        return (token.end(), token[0]) if token else (None, None)
    depth = 1
    for match in BRACE.finditer(text, position + 1):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.end(), text[position + 1 : match.start()]
        elif "\n" in match[0] and COMMAND.search(text, match.end()):
            return None, None  # a box does not go on over a blank line: this one is broken, and another follows
    return None, text[position + 1 :]


def _unbox(content: str) -> str:
    """Boxes inside opened: ``x=\\boxed{7}`` is x=7."""
    for _ in range(MAX_NESTED):
        match = COMMAND.search(content)
        if match is None:
            break
        end, inside = _box(content, match.start())
        content = content[: match.start()] + (inside or "") + ("" if end is None else content[end:])
    return content
