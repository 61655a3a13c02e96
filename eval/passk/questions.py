"""What an evaluation asks: the questions of a hub data set or a local file (:mod:`rlvr.data`), and what its output is called.

Deliberately left out: filters and shuffles; a question's id is its row.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr.data.audit import inspect, warnings_and_errors
from rlvr.data.questions import Question, Reading, fingerprint, is_file_name, read_hub, read_questions
from rlvr.records import DataError
from rlvr.verify.verifiers import kind_of

__all__ = ["Question", "dataset_name", "fingerprint", "gold_record", "load_questions"]


def gold_record(question: str, answer: Any, entry: str | None = None) -> dict[str, Any]:
    """The verifiers' ground truth of a stored sample; an answer with a box in it is a whole solution."""
    if entry is not None:
        return {"question": question, "target": answer, "entry": entry}
    return {"question": question, "solution" if isinstance(answer, str) and "\\boxed" in answer else "target": answer}


def load_questions(
    dataset: str,
    split: str,
    num_proc: int = 1,
    verifiers: Mapping[str, str] | None = None,
    allow_wrong_golds: bool = False,
) -> list[Question]:
    """All questions of a hub id or a local file; a few wrong golds are a warning on stderr.

    Raises:
        DataError: if there is no such file, a row has none of the layouts, or more than 1 % of the golds are wrong.
        UnknownDataSource: if nobody grades a data source.
    """
    local = is_file_name(dataset)
    questions = read_questions(dataset, verifiers) if local else read_hub(dataset, split, num_proc, verifiers)
    for source in {question.data_source for question in questions}:
        kind_of(source, verifiers)
    warnings, errors = warnings_and_errors(inspect(Reading(questions, []), dataset, verifiers), allow_wrong_golds)
    if errors:
        raise DataError(errors[0], remedy="correct them, or pass --allow_wrong_golds")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return questions


def dataset_name(dataset: str, split: str) -> str:
    """What its output file is called: ``math-test`` for ``TianHongZXY/math`` and for ``data/math/test.parquet``."""
    if is_file_name(dataset):
        path = Path(dataset.removesuffix(".gz"))
        return f"{path.resolve().parent.name}-{path.stem}"
    return f"{dataset.rsplit('/', 1)[-1]}-{split}"
