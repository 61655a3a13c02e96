"""Questions of any file or hub data set in one form: the one reader of training, its checks, evaluation and ``prepare_data``.

A record that cannot be read is named with file and row. Deliberately left out: filters and shuffles; a question's id is its row.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.data.layouts import Raw, read_layout
from rlvr.records import DataError, Record, names, read_records
from rlvr.verify import gold
from rlvr.verify.verifiers import OWN, UnknownDataSource, kind_of

GOLD_REMEDY = "correct it, or leave the row out"
SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        question_id: its row, from 0.
        text: what is asked: the last message.
        answer: the gold as the file has it, as text: a solution, an answer, or a JSON list of answers.
        data_source: which verifier grades it.
        truth: what that verifier is given.
        messages: the whole prompt.
        where: ``line 3``, ``row 3`` or ``item 3``.
        extra: the file's ``extra_info``.
        problem: why the gold is none; then every answer to this question is graded as an error.
        given: the gold as the file has it.
    """

    question_id: int
    text: str
    answer: str
    data_source: str
    truth: Mapping[str, Any]
    messages: tuple[Mapping[str, str], ...]
    where: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    problem: DataError | None = None
    given: Any = None

    @property
    def entry(self) -> str | None:
        """What the scorer of a reasoning-gym task needs beside the answer."""
        return self.truth.get("entry")

    @property
    def golds(self) -> tuple[str, ...]:
        """The gold, or all of several; empty if there is none."""
        if self.entry is not None:  # of any length and form
            return (str(self.truth.get("target")),)
        return gold.answers_or_none(self.truth) or ()


@dataclass
class Reading:
    """What was found in a file: the questions, some of them without a gold (``problem``), and the rows that are none."""

    questions: list[Question]
    errors: list[DataError]


def read_questions(
    path: Path | str, verifiers: Mapping[str, str] | None = None, prompt_key: str = "prompt"
) -> list[Question]:
    """All questions of a file, those without a gold too.

    Raises:
        DataError: names the file and the first row that is no question, and counts the others.
    """
    reading = survey(path, verifiers, prompt_key)
    if reading.errors:
        raise summary(reading.errors, len(reading.questions) + len(reading.errors))
    return reading.questions


def summary(errors: Sequence[DataError], rows: int) -> DataError:
    """Many rows' errors in one line: the first, and how many there are."""
    first = errors[0]
    if len(errors) == 1:
        return first
    reason = f"{first.reason} (as in {len(errors) - 1} more of {rows} rows)"
    return DataError(reason, file=first.file, row=first.row, key=first.key, remedy=first.remedy)


def survey(path: Path | str, verifiers: Mapping[str, str] | None = None, prompt_key: str = "prompt") -> Reading:
    """The questions of a file and every row that is none; ``prompt_key`` is verl's ``data.prompt_key``.

    Raises:
        DataError: if the file itself cannot be read.
    """
    records = read_records(path)
    if prompt_key != "prompt":
        records = (Record(where, _with_prompt(value, prompt_key)) for where, value in records)
    return _survey(records, str(path), OWN + own_name(path), verifiers)


def _with_prompt(record: Any, prompt_key: str) -> Any:
    return {**record, "prompt": record[prompt_key]} if isinstance(record, Mapping) and prompt_key in record else record


def read_hub(dataset: str, split: str, num_proc: int = 1, verifiers: Mapping[str, str] | None = None) -> list[Question]:
    """All questions of a hub data set.

    Raises:
        DataError: if it cannot be fetched, or names the first row that cannot be read.
    """
    import datasets  # seconds to import, and only the hub needs it

    try:
        rows = datasets.load_dataset(dataset, split=split, num_proc=num_proc)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"could not be fetched from the hub: {error}",
            file=dataset,
            remedy="or name a local file: .parquet, .jsonl, .json, .csv",
        ) from error
    source = dataset if _is_known(dataset, verifiers) else OWN + dataset
    records = (Record(f"row {number}", row) for number, row in enumerate(rows, start=1))
    reading = _survey(records, f"{dataset} ({split})", source, verifiers)
    if reading.errors:
        raise summary(reading.errors, len(rows))
    if not reading.questions:
        raise DataError("has no questions", file=f"{dataset} ({split})")
    return reading.questions


def question_of(
    record: Any,
    number: int,
    source: str,
    verifiers: Mapping[str, str] | None = None,
    file: str = "",
    where: str = "",
) -> Question:
    """The question in a record; ``source`` is its data source if it does not say one, ``file`` and ``where`` its place.

    Raises:
        DataError: if it is no question, without file and row.
    """
    raw = read_layout(record)
    given = raw.data_source
    if given is not None and not isinstance(given, str):
        raise DataError(f"is {given!r} and no text", key="data_source")
    data_source = given.strip() if given and given.strip() else source
    messages = _messages(raw.prompt)
    text = messages[-1]["content"]
    extra = raw.extra if isinstance(raw.extra, Mapping) else {}
    try:
        truth, answer = _truth(raw, text, data_source, verifiers)
    except DataError as error:
        problem = DataError(error.reason, key=raw.key, remedy=GOLD_REMEDY).at(file, where)
        nothing = {"question": text, "target": ""}
        return Question(number, text, "", data_source, nothing, messages, where, extra, problem, raw.gold)
    return Question(number, text, answer, data_source, truth, messages, where, extra, None, raw.gold)


def own_name(path: Path | str) -> str:
    """The name of one's own set: the file's, without endings."""
    name = Path(path).name.removesuffix(".gz")
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def is_file_name(dataset: str) -> bool:
    """Whether ``dataset`` names a file rather than a data set of the hub."""
    return dataset.removesuffix(".gz").endswith(SUFFIXES) or Path(dataset).is_file()


def fingerprint(questions: Iterable[Question]) -> str:
    """Changes when a question, its gold answer or their order does."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(json.dumps([question.text, question.answer, question.data_source]).encode())
    return digest.hexdigest()


def _survey(
    records: Iterator[Record] | Iterable[Record], file: str, source: str, verifiers: Mapping[str, str] | None
) -> Reading:
    reading = Reading([], [])
    for number, record in enumerate(records):
        try:
            reading.questions.append(question_of(record.value, number, source, verifiers, file, record.where))
        except DataError as error:
            reading.errors.append(error.at(file, record.where))
    return reading


def _messages(prompt: Any) -> tuple[Mapping[str, str], ...]:
    """A prompt as messages: it is a list of them, one of them, or a text (which may be JSON of either)."""
    if hasattr(prompt, "tolist"):
        prompt = prompt.tolist()
    if isinstance(prompt, bytes):
        try:
            prompt = prompt.decode()
        except UnicodeDecodeError:
            raise DataError("is bytes that are no UTF-8", key="prompt") from None
    if isinstance(prompt, str) and prompt.lstrip().startswith(('[{"role"', '[{"content"')):
        with contextlib.suppress(ValueError):  # else it is a text that begins like that
            prompt = json.loads(prompt)
    if isinstance(prompt, str):
        prompt = {"role": "user", "content": prompt}
    if isinstance(prompt, Mapping):
        prompt = [prompt]
    if not isinstance(prompt, (list, tuple)) or not prompt:
        raise DataError(
            f"must be a text or a list of messages with role and content (it is {_shown(prompt)})", key="prompt"
        )
    return tuple(_message(one) for one in prompt)


def _message(message: Any) -> Mapping[str, str]:
    if not isinstance(message, Mapping):
        raise DataError(f"must be a list of messages with role and content (it has {_shown(message)})", key="prompt")
    content = message.get("content", message.get("value"))
    if isinstance(content, (list, tuple)):  # parts
        kinds = {part.get("type") for part in content if isinstance(part, Mapping)}
        if kinds - {"text", None}:
            raise DataError("has parts that are no text (a picture?)", key="prompt")
        content = "".join(str(part.get("text", "")) if isinstance(part, Mapping) else str(part) for part in content)
    if not isinstance(content, str) or not content.strip():
        raise DataError(f"has a message without content ({names(message)})", key="prompt")
    role = message.get("role", message.get("from"))
    return {"role": role if isinstance(role, str) else "user", "content": content}


def _truth(raw: Raw, text: str, data_source: str, verifiers: Mapping[str, str] | None) -> tuple[Mapping[str, Any], str]:
    """(what the verifier is given, the gold as text); a record for another verifier than ours of answers is left as it is."""
    try:
        kind = kind_of(data_source, verifiers)
    except UnknownDataSource:
        kind = "unknown"
    if kind not in ("math", "exact") and isinstance(raw.gold, Mapping):
        given = {key: value for key, value in raw.gold.items() if value is not None}
        return {"question": text, **given}, str(given.get("target", ""))
    found = gold.answers(raw.gold)
    solution = raw.gold.get("solution") if isinstance(raw.gold, Mapping) else None
    if isinstance(solution, str) and gold.answers_or_none({"solution": solution}):
        return {"question": text, "solution": solution}, solution
    target = gold.as_target(found)
    return {"question": text, "target": target}, target


def _is_known(data_source: str, verifiers: Mapping[str, str] | None) -> bool:
    try:
        kind_of(data_source, verifiers)
    except UnknownDataSource:
        return False
    return True


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:60]!r}"
