r"""The gold answers in what a data file has for one: text, number, list, JSON list, record, solution with a box, ``… #### 72``.

``answers`` gives one for most questions; a list of several means that all of them together are the answer, as with the solutions
of an equation. It guesses nothing: a prose without a box, a missing value or a text whose backslashes were lost is an error.
Deliberately left out: whether two answers are equal.
"""

import ast
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rlvr.records import DataError
from rlvr.verify.boxes import COMMAND, boxed

KEYS = (
    "target",
    "ground_truth",
    "answer",
    "final_answer",
    "expected_answer",
    "value",
    "gold",
)  # of a record, first one wins
MISSING = frozenset({"None", "null", "NULL", "nan", "NaN", "NAN", "<NA>", "notfound", "not found", "proof"})
# What JSON makes of "\frac", "\beta", "\text", "\rightarrow" with one backslash.
LOST_BACKSLASH = re.compile(r"[\a\b\f\v]|\t(?=[a-z])|\r(?=[a-z])")
MOST = 300  # characters; a longer text without a box is a solution or a remark, and no model repeats it
DEPTH = 8  # lists in records in lists


def answers(truth: Any) -> tuple[str, ...]:
    """The answer, or all of them where the question has several, in order, each once.

    Raises:
        DataError: says why there is no answer; without file and row, which the caller knows.
    """
    found = dict.fromkeys(_answers(truth, DEPTH))
    if not found:
        raise DataError("the gold is an empty list")
    return tuple(found)


def as_target(found: tuple[str, ...]) -> str:
    """How a data file stores them: the answer itself, or a JSON list of several."""
    if len(found) == 1 and answers_or_none(found[0]) == found:
        return found[0]
    return json.dumps(list(found), ensure_ascii=False)


def answers_or_none(truth: Any) -> tuple[str, ...] | None:
    """:func:`answers`, or None where there is none."""
    try:
        return answers(truth)
    except DataError:
        return None


def gold_text(truth: Any) -> str:
    """The bare gold answer, a JSON list of several; empty where the data has none (two solutions of MATH end in an empty box)."""
    found = answers_or_none(truth)
    return as_target(found) if found else ""


def _answers(truth: Any, depth: int) -> list[str]:
    if hasattr(truth, "tolist"):  # numpy
        truth = truth.tolist()
    if depth == 0:
        raise DataError("the gold is nested too deeply")
    if truth is None:
        raise DataError("the gold is null")
    if isinstance(truth, bool):
        raise DataError(f"the gold is {truth}, not an answer")
    if isinstance(truth, (int, float, Decimal)):
        return [_number(truth)]
    if isinstance(truth, bytes):
        try:
            truth = truth.decode()
        except UnicodeDecodeError:
            raise DataError("the gold is bytes that are no UTF-8") from None
    if isinstance(truth, str):
        return _text(truth, depth)
    if isinstance(truth, Mapping):
        return _record(truth, depth)
    if isinstance(truth, (list, tuple)):
        return [answer for item in truth for answer in _answers(item, depth - 1)]
    raise DataError(f"the gold is of type {type(truth).__name__}")


def _record(truth: Mapping[str, Any], depth: int) -> list[str]:
    """A solution with a box goes first: the ``target`` of TianHongZXY/MATH has lost braces and backslashes."""
    solution = truth.get("solution")
    if isinstance(solution, str) and (answer := boxed(solution)) is not None and answer.strip():
        return [answer.strip()]
    for key in KEYS:
        if truth.get(key) is not None:
            return _answers(truth[key], depth - 1)
    if isinstance(solution, str) and solution.strip():
        raise DataError("the gold is a solution without a box, or with an empty one")
    raise DataError(f"the gold is a record without an answer (it has {', '.join(map(str, truth)) or 'nothing'})")


def _text(raw: str, depth: int) -> list[str]:
    text = raw.strip()
    if not text or text in ("[]", "{}", '""', "''"):
        raise DataError("the gold is empty")
    if text in MISSING:
        raise DataError(f"the gold is {text!r}, which stands for a missing answer")
    parsed = _encoded(text)
    if parsed is not None:
        return _answers(parsed, depth - 1)
    if "####" in text and not COMMAND.search(text):
        raw = text.rpartition("####")[2]
        if not raw.strip():
            raise DataError("nothing stands after the gold's ####")
        if "\n" in raw.strip():  # a heading of Markdown
            raise DataError("the gold's last #### is followed by several lines, so it is no final answer")
    elif COMMAND.search(text):
        raw = boxed(text) or ""
        if not raw.strip():
            raise DataError("the gold's box is empty or never closed")
    elif len(text) > MOST:
        raise DataError(f"the gold is a text of {len(text)} characters without a box")
    lost = LOST_BACKSLASH.search(raw)  # a form feed counts as a space at the ends
    if lost:
        raise DataError(f"the gold {raw[:40]!r} has the character {lost[0]!r}: a backslash of LaTeX was lost in JSON")
    return [raw.strip()]


def _encoded(text: str) -> Any:
    """The list of texts, or record, that a string stands for, as JSON or as Python prints it; None for any other string.

    ``[0, 1]`` is an interval and not two answers: only lists of texts count.
    """
    if text[0] == "[" and text[-1] == "]" and text[1:].lstrip()[:1] in ('"', "'"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            try:  # a literal is read, not run
                found = ast.literal_eval(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return None
        return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None
    if text.startswith('{"') and text.endswith("}"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None
    return None


def _number(value: Any) -> str:
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:
            raise DataError("the gold has more than 4,300 digits") from None
    if not math.isfinite(value):
        raise DataError(f"the gold is {value}")
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return format(Decimal(str(value)), "f") if 1e-30 < abs(value) < 1e30 else str(value)
