"""Questions from hub data sets, local parquet or JSONL, in one form.

Three layouts are understood: verl's (``prompt`` messages and ``reward_model.ground_truth``, which the paper's parquet files
have too), the hub's (``problem`` with ``solution`` or ``answer``), and plain JSONL (``question`` or ``problem`` with ``answer``
or ``solution``). Deliberately left out: filters and shuffles; a question's id is its row.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Question:
    """One row: what is asked, and what a verifier needs to judge an answer."""

    question_id: int
    text: str
    answer: str
    data_source: str
    entry: str | None = None  # what the scorer of a reasoning-gym task needs beside the answer

    @property
    def gold(self) -> dict[str, str]:
        return gold_record(self.text, self.answer, self.entry)


def gold_record(question: str, answer: str, entry: str | None = None) -> dict[str, str]:
    """The verifiers' ground truth; a gold answer with a box in it is a whole solution, anything else the answer itself."""
    if entry is not None:
        return {"question": question, "target": answer, "entry": entry}
    return {"question": question, "solution" if "\\boxed" in answer else "target": answer}


def load_questions(dataset: str, split: str, num_proc: int) -> list[Question]:
    """All questions of a hub id or a local file.

    Raises:
        ValueError: if there is no such file, or a row has none of the layouts; names the file and the row.
    """
    rows = _rows(dataset, split, num_proc)
    questions = [_question(row, number, dataset) for number, row in enumerate(rows)]
    if not questions:
        raise ValueError(f"--datasets {dataset}: no questions")
    return questions


def dataset_name(dataset: str, split: str) -> str:
    """What its output file is called: ``math-test`` for ``TianHongZXY/math`` and for ``data/math/test.parquet``."""
    if _is_file(dataset):
        path = Path(dataset)
        return f"{path.resolve().parent.name}-{path.stem}"
    return f"{dataset.rsplit('/', 1)[-1]}-{split}"


def fingerprint(questions: Iterable[Question]) -> str:
    """Changes when a question, its gold answer or their order does."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(json.dumps([question.text, question.answer, question.data_source]).encode())
    return digest.hexdigest()


def _is_file(dataset: str) -> bool:
    return Path(dataset).suffix in (".parquet", ".jsonl", ".json")


def _rows(dataset: str, split: str, num_proc: int) -> list[Mapping[str, Any]]:
    if not _is_file(dataset):
        import datasets  # seconds to import, and only the hub needs it

        return list(datasets.load_dataset(dataset, split=split, num_proc=num_proc))
    path = Path(dataset)
    if not path.is_file():
        raise ValueError(f"--datasets {dataset}: no such file")
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pylist()
    with path.open(encoding="utf-8") as file:
        return [_json_row(line, number, dataset) for number, line in enumerate(file, start=1) if line.strip()]


def _json_row(line: str, number: int, dataset: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"--datasets {dataset}, line {number}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"--datasets {dataset}, line {number}: not an object")
    return row


def _question(row: Mapping[str, Any], number: int, dataset: str) -> Question:
    source = row.get("data_source") or dataset
    entry = row.get("entry")
    if row.get("reward_model"):
        truth = row["reward_model"]["ground_truth"]
        text = row["prompt"][-1]["content"]
        answer = truth if isinstance(truth, str) else truth.get("solution") or truth.get("target")
        entry = None if isinstance(truth, str) else truth.get("entry")
    else:
        text = row.get("problem") or row.get("question")
        # MATH's hub files have both; its answers stand in the solutions' boxes
        keys = ("solution", "answer") if "math" in dataset.lower() else ("answer", "solution")
        answer = next((row[key] for key in keys if row.get(key) is not None), None)
    if not text or answer is None:
        raise ValueError(
            f"--datasets {dataset}, row {number}: needs prompt and reward_model, or problem (question) and answer (solution); "
            f"found {', '.join(row)}"
        )
    return Question(number, str(text), str(answer), str(source), entry)
