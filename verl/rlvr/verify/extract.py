r"""The final answer in a response: the last box, else "the answer is …", else the last number.

A box that is there decides, also when it is empty or never closed: a response that was cut off inside its box has given no
answer. Deliberately left out: several boxes read as one answer (guessing would pay).
"""

import re
from collections.abc import Mapping
from typing import Any

from rlvr.verify.policy import Policy

BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
TOKEN = re.compile(r"\\[A-Za-z]+|-?\d+(?:\.\d+)?|[^\s{}$]", re.ASCII)
ANSWER_IS = re.compile(r"\banswer\b(?:[^.\n=:]{0,40}?\bis\b|\s*[:=])[:\s]*", re.IGNORECASE)
NUMBER = re.compile(
    r"(?<![\w.\\])-?(?:\\[dt]?frac\{-?\d+\}\{-?\d+\}|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+(?:/\d+)?)(?:\\?%)?",
    re.ASCII,
)
OPENING = re.compile(r"\\(?:boxed|fbox)\s*\{")
BRACE = re.compile(r"\\[\\{}]|[{}]")
MAX_RESPONSE = 200_000  # characters read, from the end
MAX_NESTED = 20  # boxes in boxes; bounds the work on a response of nothing but boxes


def extract(response: str, policy: Policy) -> str | None:
    """The final answer by the first of ``policy.extraction`` that finds one, or None."""
    response = response[-MAX_RESPONSE:]
    for name in policy.extraction:
        if name == "boxed":
            start = _last_box(response)
            if start is not None:
                return _content(response, start, unclosed="unclosed_box" in policy.accept)
        else:
            answer = answer_is(response) if name == "answer_is" else last_number(response)
            if answer is not None:
                return answer
    return None


def boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed`` or ``\fbox``, without boxes inside; None if there is none or it is not closed."""
    start = _last_box(text)
    return None if start is None else _content(text, start, unclosed=False)


def answer_is(text: str) -> str | None:
    """What follows the last "answer is" or "answer:", to the end of the sentence."""
    found = None
    for found in ANSWER_IS.finditer(text):  # noqa: B007 (the last one)
        pass
    if found is None:
        return None
    rest = text[found.end() :].lstrip("*\n ")[:2000]
    math = re.match(r"\$\$?([^$]+)\$", rest) or re.match(r"\\[(\[](.+?)\\[)\]]", rest, re.DOTALL)
    if math:
        return math[1].strip() or None
    rest = re.split(r"\n|\.(?:\s|\*|$)", rest, maxsplit=1)[0]
    return rest.strip(" *") or None


def last_number(text: str) -> str | None:
    found = NUMBER.findall(text[-10_000:])
    return found[-1] if found else None


def gold_answer(ground_truth: Any) -> str:
    r"""The gold of a data file: a plain string, or a record with ``solution`` (its last box) or ``target``.

    A solution goes first: the ``target`` column of TianHongZXY/MATH has lost braces and backslashes (``\begin{pmatrix}1\2…``).

    Raises:
        ValueError: if there is no answer in it.
    """
    if isinstance(ground_truth, Mapping):
        solution = ground_truth.get("solution")
        answer = boxed(solution) if isinstance(solution, str) else None
        if answer is None and ground_truth.get("target") is not None:
            answer = str(ground_truth["target"])
    else:
        text = str(ground_truth)
        answer = boxed(text) if BOX.search(text) else text
    if not answer or not answer.strip():
        raise ValueError(f"no gold answer in {str(ground_truth)[:200]!r}")
    return answer.strip()


def _last_box(text: str) -> int | None:
    """Where the last outermost box begins."""
    starts = [match.start() for match in BOX.finditer(text)]
    if not starts:
        return None
    last = starts[-1]
    # A box inside a box: the outer one is the answer, \boxed{x=\boxed{7}}.
    for start in reversed(starts[-MAX_NESTED:-1]):
        span = _braces(text, start)
        if span is not None and span[1] > last:
            last = start
    return last


def _content(text: str, start: int, unclosed: bool) -> str | None:
    brace = OPENING.match(text, start)
    if brace is None:
        token = TOKEN.match(text, _after_command(text, start))
        return token[0] if token else ""
    span = _braces(text, start)
    if span is not None:
        return _unbox(text[span[0] : span[1]]).strip()
    return _unbox(text[brace.end() :].split("\n", 1)[0]).strip() if unclosed else None


def _unbox(content: str) -> str:
    for _ in range(MAX_NESTED):
        match = BOX.search(content)
        if match is None:
            break
        start, end = _braces(content, match.start()) or (match.end(), match.end())
        content = content[: match.start()] + content[start:end] + content[end + (end > match.end()) :]
    return content


def _after_command(text: str, start: int) -> int:
    command = BOX.match(text, start)
    position = command.end() if command else start
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _braces(text: str, start: int) -> tuple[int, int] | None:
    """The span inside the braces of the box at ``start``; None if it has none or they are never closed."""
    brace = OPENING.match(text, start)
    if brace is None:
        return None
    depth = 1
    for match in BRACE.finditer(text, brace.end()):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return brace.end(), match.start()
    return None
