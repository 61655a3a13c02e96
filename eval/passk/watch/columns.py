"""A step's samples as the page takes them: a list for each field, every question once. Pure functions."""

from collections.abc import Sequence
from typing import Any

from rlvr.sample_files import Sample

MAX_CHARACTERS = 12_000  # of a response; what is left out is said


def columns(samples: Sequence[Sample]) -> dict[str, Any]:
    """One file of samples as JSON.

    Returns:
        ``questions`` (id, text, gold), each once; ``groups``; and per sample ``question`` and ``group`` (positions in those),
        ``answer``, ``extracted``, ``correct``, ``layer``, ``kind``, ``kept``, ``advantage``, ``tokens``, ``finish_reason``,
        ``log_prob``, ``entropy``, and ``shortened``: characters that are left out of the answer.
    """
    questions: dict[str, dict[str, str]] = {}
    groups: dict[str, int] = {}
    for one in samples:
        questions.setdefault(one.question_id, {"id": one.question_id, "text": one.question, "gold": one.gold})
        groups.setdefault(one.group, len(groups))
    position = {key: number for number, key in enumerate(questions)}
    answers = [shortened(one.answer) for one in samples]
    return {
        "questions": list(questions.values()),
        "groups": len(groups),
        "question": [position[one.question_id] for one in samples],
        "group": [groups[one.group] for one in samples],
        "answer": [text for text, _ in answers],
        "shortened": [left_out for _, left_out in answers],
        **{name: [getattr(one, name) for one in samples] for name in _PLAIN},
    }


_PLAIN = (
    "extracted", "correct", "layer", "kind", "kept", "advantage", "tokens", "finish_reason", "log_prob", "entropy",
)  # fmt: skip


def shortened(text: str) -> tuple[str, int]:
    """(text, characters left out in its middle)"""
    if len(text) <= MAX_CHARACTERS:
        return text, 0
    half = MAX_CHARACTERS // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out:,} characters are left out here …]\n{text[-half:]}", left_out
