"""Every sample of a file in our own layout, whoever wrote it, packed or not, and what was taken for what.

    source = Samples(path); for one in source: …; source.described()

Ours and the paper's samples pass as they are, foreign ones are converted (:mod:`passk.foreign`) and numbered: questions in the
order in which they come, their samples from 0. A folder of NeMo-Skills' ``output-rs*.jsonl`` is one evaluation. Deliberately left
out: judging whether the samples are complete (:mod:`passk.tally`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from passk import foreign
from passk.foreign import Sample, Taken
from passk.rows import Row, decode_row
from rlvr.records import DataError, Line, Record, parse_line, read_lines, read_records
from rlvr.verify.gold import answers_or_none, as_target

OURS = "own"
FIELDS = ("question_id", "generation_id", "label")
TO_GRADE = ("question", "answer", "response")


class Item(NamedTuple):
    """A sample, or why a line is none."""

    where: str
    sample: dict[str, Any] | None
    problem: str | None = None
    cut_off: bool = False  # the last line, without its end


class Samples:
    """The samples of a file; may be read several times.

    Raises:
        DataError: if the file cannot be read, or its first record has no known layout.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.files = _files(self.path)
        self.taken = Taken()
        first = _first_record(self.files[0])
        self.layout = foreign.layout_of(first)
        self.ours = self.layout is None
        if first is not None and self.ours and not (isinstance(first, Mapping) and set(FIELDS) & first.keys()):
            raise DataError(foreign.nothing_fits(first), file=self.path)

    @property
    def name(self) -> str:
        return self.layout.name if self.layout else OURS

    def described(self) -> str | None:
        """What was taken for what, in one line, once the samples were read; None for our own files as they should be."""
        parts = [f"{role} = {column}" for role, column in self.taken.columns.items()] + self.taken.remarks
        if not parts:
            return None
        return f"{self.path}: read as {self.name}: {', '.join(parts)}"

    def __iter__(self) -> Iterator[Item]:
        numbering = _Numbering()
        for number, file in enumerate(self.files):
            for row, (where, record, problem, cut_off) in enumerate(_records(file)):
                if problem is not None:
                    yield Item(where, None, problem, cut_off)
                    continue
                try:
                    if self.layout is None:
                        yield Item(where, own(record, self.taken))
                        continue
                    if not isinstance(record, Mapping) or not self.layout.fits(record):
                        raise DataError(f"is no record of {self.name} ({foreign.names(record)})")
                    for sample in self.layout.read(record, self.taken):
                        yield Item(where, numbering.ours(sample, row, number))
                except DataError as error:
                    yield Item(where, None, str(error))


def read_rows(source: Samples) -> Iterator[tuple[Item, Row | None]]:
    """Every sample as what counting needs; a line of our own layout is decoded without building the rest of it."""
    if not (source.ours and _is_lines(source.path)):
        for item in source:
            yield _as_row(item)
        return
    for line in read_lines(source.path):
        if not line.text.strip():
            continue
        where = f"line {line.number}"
        try:
            yield Item(where, None), decode_row(line.text)
        except msgspec.DecodeError:
            yield _as_row(_own_item(line, source))


def _own_item(line: Line, source: Samples) -> Item:
    """A line that is not as we write it: NaN somewhere, a label as text, or no sample at all."""
    where, record, problem, cut_off = _parsed(line, source.path)
    if problem is not None:
        return Item(where, None, problem, cut_off)
    try:
        return Item(where, own(record, source.taken))
    except DataError as error:
        return Item(where, None, str(error), cut_off)


def _as_row(item: Item) -> tuple[Item, Row | None]:
    if item.sample is None:
        return item, None
    wanted = {key: item.sample[key] for key in Row.__struct_fields__ if key in item.sample}
    try:
        return item, decode_row(json.dumps(wanted, default=str))
    except msgspec.DecodeError as error:
        return Item(item.where, None, str(error)), None


def read_samples(source: Samples) -> Iterator[dict[str, Any]]:
    """Every sample, each with what grading needs: ``question``, ``answer`` and ``response``.

    Raises:
        DataError: for the first line that is no such sample; names the file, the line and all fields that it misses.
    """
    path = source.path
    for item in source:
        if item.sample is None:
            raise DataError(f"not a sample: {item.problem}", file=path, row=item.where)
        missing = [key for key in ("question_id", "generation_id", *TO_GRADE) if item.sample.get(key) is None]
        if missing:
            raise DataError(
                f"misses {', '.join(missing)} ({foreign.names(item.sample)})",
                file=path,
                row=item.where,
                remedy="grading needs them",
            )
        bad = [key for key in ("question", "response") if not isinstance(item.sample[key], str)]
        if bad:
            raise DataError(f"{', '.join(bad)}: no text", file=path, row=item.where)
        yield {"label": None, **item.sample}


def own(record: Any, taken: Taken) -> dict[str, Any]:
    """One of our samples, with a label that is true, false or null.

    Raises:
        DataError: names everything that is missing.
    """
    if not isinstance(record, Mapping):
        raise DataError(foreign.nothing_fits(record))
    missing = [key for key in FIELDS if key not in record]
    if missing:
        raise DataError(f"misses {', '.join(missing)} ({foreign.names(record)})")
    label = record["label"]
    if label is None or isinstance(label, bool):
        return dict(record)
    found = foreign.verdict(label)
    if found is None:
        raise DataError(f"label {label!r} is neither true, false nor null")
    taken.remark(f"labels like {label!r} as {found}")
    return {**record, "label": found}


class _Numbering:
    """Gives foreign samples the ids that ours have."""

    def __init__(self) -> None:
        self.questions: dict[Any, int] = {}
        self.samples: dict[int, int] = {}

    def ours(self, sample: Sample, row: int, file: int) -> dict[str, Any]:
        key = sample.question if sample.key is None else sample.key
        if isinstance(key, (list, dict)):
            key = str(key)
        number = row if key == ("row",) else self.questions.setdefault(key, len(self.questions))
        if isinstance(sample.key, int) and not isinstance(sample.key, bool):
            number = sample.key
        generation = self.samples.get(number, 0)
        self.samples[number] = generation + 1
        gold = answers_or_none(sample.gold)
        stored = {
            "question": sample.question,
            "question_id": number,
            "generation_id": generation,
            "response": sample.response,
            "answer": as_target(gold) if gold else None,
            "gold_answer": as_target(gold) if gold else None,
            "pred_answer": sample.pred,
            "label": sample.label,
        }
        return stored | sample.more


def _files(path: Path) -> list[Path]:
    """The file, or the files of a folder that are one evaluation.

    Raises:
        DataError: if it is another folder.
    """
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("output-rs*.jsonl")) + sorted(path.glob("output-rs*.jsonl.gz"))
    if not found:
        raise DataError("is a folder without output-rs*.jsonl of NeMo-Skills", file=path, remedy="name a file")
    return found


def _first_record(path: Path) -> Any:
    """The first record that is one, or None.

    Raises:
        DataError: if the file cannot be read at all.
    """
    for _, record, problem, _ in _records(path):
        if problem is None:
            return record
    return None


def _records(path: Path) -> Iterator[tuple[str, Any, str | None, bool]]:
    """(where, record, problem, whether the line was cut off); a line of JSON lines that is none does not end the file.

    Raises:
        DataError: if the file cannot be read.
    """
    if _is_lines(path):
        for line in read_lines(path):
            if line.text.strip():
                yield _parsed(line, path)
        return
    for where, value in read_records(path):
        yield where, value, None, False


def _parsed(line: Line, path: Path) -> tuple[str, Any, str | None, bool]:
    where = f"line {line.number}"
    try:
        return where, parse_line(line, path), None, False
    except DataError as error:
        return where, None, error.reason, not line.whole


def _is_lines(path: Path) -> bool:
    """Whether the file has JSON lines, some of which may be broken, and is not one array, a table or parquet."""
    try:
        first = next(iter(read_records(path)), None)
    except DataError as error:
        if error.row is None:
            raise
        return True
    return isinstance(first, Record) and first.where.startswith("line")
