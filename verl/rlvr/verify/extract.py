r"""The final answer in a response, by the named policies of :data:`rlvr.verify.policy.EXTRACTIONS`, the first that finds one.

Looked for only where an answer may be (:mod:`rlvr.verify.response`): after the thought, before the end of the turn. A response
that ends inside its box was cut off and has no answer; an empty box is none and hides none. Deliberately left out: reading it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlvr.verify import phrases
from rlvr.verify.boxes import COMMAND, OpenBox, answer_in_boxes, boxed
from rlvr.verify.lastnumber import last_number
from rlvr.verify.policy import Policy
from rlvr.verify.response import answering_part

MAX_RESPONSE = 200_000  # characters read, from the end
FINDERS: dict[str, Callable[[str], str | None]] = {
    "answer_tag": phrases.answer_tag,
    "hashes": phrases.hashes,
    "final_answer": phrases.final_answer,
    "answer_is": phrases.answer_is,
    "last_number": last_number,
}


def extract(response: str, policy: Policy, several: int = 1) -> str | None:
    """The final answer by the first of ``policy.extraction`` that finds one, or None.

    ``several``: how many answers the gold has; as many boxes may then give one each.
    """
    text = answering_part(response)[-MAX_RESPONSE:]
    for name in policy.extraction:
        if name != "boxed":
            answer = FINDERS[name](text)
        else:
            try:
                answer = answer_in_boxes(text, several)
            except OpenBox as box:
                return box.content.split("\n", 1)[0] or None if "unclosed_box" in policy.accept else None
        if answer is not None:
            return answer or None
    return None


def gold_answer(ground_truth: Any) -> str:
    r"""The gold of a data file: a plain string, a list of all solutions, or a record with ``solution`` (its last box) or
    ``target``.

    A solution goes first: the ``target`` column of TianHongZXY/MATH has lost braces and backslashes (``\begin{pmatrix}1\2…``).
    Several solutions are joined to one list without order.

    Raises:
        ValueError: if there is no answer in it.
    """
    answer: str | None
    if isinstance(ground_truth, Mapping):
        solution = ground_truth.get("solution")
        answer = boxed(solution) if isinstance(solution, str) else None
        if answer is None and ground_truth.get("target") is not None:
            answer = _text(ground_truth["target"])
    else:
        text = _text(ground_truth)
        answer = boxed(text) if COMMAND.search(text) else phrases.hashes(text) if "\n####" in text else text
    if not answer or not answer.strip():
        raise ValueError(f"no gold answer in {str(ground_truth)[:200]!r}")
    return answer.strip()


def _text(gold: Any) -> str:
    if isinstance(gold, str) or not (isinstance(gold, Sequence) or hasattr(gold, "tolist")):
        return str(gold)
    solutions = gold if isinstance(gold, Sequence) else gold.tolist()  # an array of a parquet file
    if not isinstance(solutions, Sequence):
        return str(solutions)
    return "; ".join(str(each).strip().strip("$") for each in solutions)
