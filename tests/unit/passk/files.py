"""Files of samples for the tests, in the layout of the paper's own evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def line(question_id: int | str, generation_id: int, label: bool | None, pred: str | None = None, **more: Any) -> dict:
    answer = ("42" if label else "41") if pred is None else pred
    return {
        "prompt": f"<q>{question_id}<a>",
        "question": f"q{question_id}",
        "question_id": question_id,
        "generation_id": generation_id,
        "response": f"so \\boxed{{{answer}}} \u2028",
        "answer": "42",
        "gold_answer": "42",
        "pred_answer": answer,
        "label": label,
    } | more


def complete(labels: Sequence[Sequence[bool | None]]) -> list[dict]:
    """labels[question][generation]"""
    return [line(q, g, label) for q, row in enumerate(labels) for g, label in enumerate(row)]


def write(path: Path, lines: Sequence[dict]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path
