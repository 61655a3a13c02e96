"""Bring the paper's data sets, or one's own, into the layout that launchers and evaluation read.

    python -m rlvr.data.prepare                                   # or scripts/prepare_data: MATH, AIME 2025, AMC 23 from the hub
    python -m rlvr.data.prepare --source DIR                      # the same from local copies, DIR/math/train.parquet …
    python -m rlvr.data.prepare --task chain_sum:max_terms=3 --size 1024 --seed 1     # a task of reasoning-gym, rlvr.data.tasks
    python -m rlvr.data.prepare --own FILE --output data/mine/train.parquet           # any layout of docs/data.md

A row has ``data_source`` (which grader), ``prompt`` (messages) and ``reward_model.ground_truth`` (question and gold answer). A file
gets its name only when it is whole and verified, so an interrupted run may simply be started again; what is there and right is not
fetched again. Deliberately left out: filtering, deduplication and shuffling; training shuffles.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.data import tasks
from rlvr.data.audit import inspect
from rlvr.data.parquet import write
from rlvr.data.questions import Question, Reading, own_name, summary, survey
from rlvr.outputs import check_file, check_folder
from rlvr.records import DataError
from rlvr.verify.verifiers import OWN, UnknownDataSource

EXIT_CODE = 2
MOST_ERRORS = 20


class Several(DataError):
    """Several bad rows, a line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines[0])
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Part:
    """One file of the paper's data: its hub id and split, number of questions, and the :func:`checksum` of its content."""

    path: str
    hub_id: str
    split: str
    rows: int
    sha256: str


PARTS = (
    Part(
        "math/train.parquet",
        "TianHongZXY/MATH",
        "train",
        7500,
        "20e7f6a996fc574ca9f8d03af041d50fa76f8c104c2f8b61f26aaffe6c89ba0a",
    ),
    Part(
        "math/test.parquet",
        "TianHongZXY/MATH",
        "test",
        5000,
        "511f49d48c39ba75ccf50e2751c74b539da805941b9319eb365d1ed50f21d391",
    ),
    Part(
        "aime2025/test.parquet",
        "TianHongZXY/AIME2025",
        "test",
        30,
        "d3637f0c7d5229faa53dd52f0863b13f9fe2d7137828e02fdc8bceb8b97171e5",
    ),
    Part(
        "amc23/test.parquet",
        "TianHongZXY/amc23",
        "test",
        40,
        "7ff1840ec4611979094586a071159dec398e90b791c7b0df679588337487d315",
    ),
)


def checksum(table: pa.Table) -> str:
    """SHA-256 of the content that a run sees: data source, prompt and ground truth of every row, in order.

    Not of the file's bytes, which depend on who wrote the parquet; other columns (level, url …) do not count.

    Raises:
        DataError: if a column is missing.
    """
    wanted = ("data_source", "prompt", "reward_model")
    absent = [name for name in wanted if name not in table.column_names]
    if absent:
        raise DataError(f"no column {', '.join(absent)} (it has {', '.join(table.column_names)})")
    digest = hashlib.sha256()
    for batch in table.select(wanted).to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            truth = row["reward_model"]["ground_truth"]
            given = {key: truth[key] for key in sorted(truth) if truth[key] is not None}
            messages = [[message["role"], message["content"]] for message in row["prompt"]]
            digest.update(json.dumps([row["data_source"], messages, given], ensure_ascii=False).encode())
    return digest.hexdigest()


def verify(table: pa.Table, part: Part) -> None:
    """Check that ``table`` is ``part``.

    Raises:
        DataError: if it has another number of rows, or another content.
    """
    if table.num_rows != part.rows:
        raise DataError(f"{table.num_rows} questions instead of {part.rows}")
    found = checksum(table)
    if found != part.sha256:
        raise DataError(f"its content has checksum {found[:12]}…, expected {part.sha256[:12]}…")


def prepare(output: Path, source: Path | None) -> None:
    """Make every file of :data:`PARTS` below ``output``, from ``source`` or the hub.

    Raises:
        DataError: names the first file that could not be read or is not what the paper used.
    """
    for part in PARTS:
        target = output / part.path
        if target.is_file():
            try:
                verify(read(target), part)
                print(f"{target}: {part.rows} questions, verified already")
                continue
            except DataError as error:
                print(f"{target}: {error}; making it anew")
        origin = f"{part.hub_id} ({part.split})" if source is None else str(source / part.path)
        print(f"{target}: from {origin}", flush=True)
        table = from_hub(part) if source is None else read(source / part.path)
        try:
            verify(table, part)
        except DataError as error:
            raise DataError(f"{origin}: {error}. It changed since the paper; nothing was written to {target}") from None
        write(table, target)
        print(f"{target}: {part.rows} questions, verified")


def from_hub(part: Part) -> pa.Table:
    """One split from the hub.

    Raises:
        DataError: if the hub cannot be reached or does not have it.
    """
    import datasets  # seconds to import, and only the hub needs it

    try:
        return datasets.load_dataset(part.hub_id, split=part.split).with_format("arrow")[:]
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{part.hub_id} could not be fetched from the hub: {reason}. Try again where there is a network (HF_HUB_OFFLINE must "
            f"not be set; HF_ENDPOINT names a mirror), or copy {part.path} into a folder and give it as --source"
        ) from error


def read(path: Path) -> pa.Table:
    """One parquet file.

    Raises:
        DataError: if ``path`` is missing or not parquet.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


# ---- one's own set


def convert(own: Path, output: Path, data_source: str | None = None, allow_wrong_golds: bool = False) -> int:
    """Convert a file of any layout (docs/data.md) into ``output``; the number of questions.

    Args:
        data_source: in place of what the rows say; without it they keep theirs, and become ``own/NAME`` where they have none.
        allow_wrong_golds: leave out the rows whose gold is none, or not right against itself, instead of refusing the file.

    Raises:
        DataError: names the file, every bad row (at most 20) and why; nothing is written then.
    """
    if output.resolve() == own.resolve():
        raise DataError("would be overwritten by its own conversion", file=own, remedy="choose another --output")
    reading = survey(own)
    if reading.errors and not reading.questions:  # another kind of file: one line says it
        raise summary(reading.errors, len(reading.errors))
    questions = [replace(one, data_source=data_source or one.data_source) for one in reading.questions]
    try:
        audit = inspect(Reading(questions, reading.errors), str(own))
    except UnknownDataSource as error:
        raise DataError(
            str(error).partition(":")[0], file=own, remedy="--name NAME grades it as mathematics, under that name"
        ) from None
    errors = [*audit.errors, *([] if allow_wrong_golds else audit.golds)]
    if errors:
        more = [f"… and {len(errors) - MOST_ERRORS} more"] if len(errors) > MOST_ERRORS else []
        if not audit.errors:
            more.append("--allow-wrong-golds leaves these rows out")
        raise Several([str(error) for error in errors[:MOST_ERRORS]] + more)
    wrong = {error.row for error in audit.golds}
    rows = [question_row(one, index) for index, one in enumerate(one for one in questions if one.where not in wrong)]
    if not rows:
        raise DataError("no questions are left", file=own)
    write(pa.Table.from_pylist(rows), output)
    return len(rows)


def question_row(question: Question, index: int) -> dict[str, Any]:
    """One row of verl's layout, with a gold that every reader reads the same."""
    return {
        "data_source": question.data_source,
        "prompt": [dict(message) for message in question.messages],
        "ability": "math",
        "reward_model": {"ground_truth": dict(question.truth), "style": "rule"},
        "extra_info": {"index": index, "split": "own"},
    }


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="prepare_data", description=str(__doc__).splitlines()[0])
    top.add_argument("--output", type=Path, help="folder (default: data); with --own the parquet file to write")
    top.add_argument("--source", type=Path, help="a folder with copies of the files, instead of the hub")
    top.add_argument(
        "--task", help="a task of reasoning-gym, NAME or NAME:key=value,…; --output is a folder (default: data/NAME)"
    )
    top.add_argument("--size", type=int, default=1024, help="with --task: questions to train on (default: 1024)")
    top.add_argument("--seed", type=int, default=1, help="with --task: other questions for each (default: 1)")
    top.add_argument("--own", type=Path, help="a file of questions in any layout of docs/data.md")
    top.add_argument(
        "--name", help="with --own: what metrics call it (default: what its rows say, else the file's name)"
    )
    top.add_argument("--allow-wrong-golds", action="store_true", help="with --own: leave out rows without a sound gold")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        if args.task is not None:
            task = tasks.parse(args.task)
            output = args.output or Path("data") / task.name
            check_folder(output)
            tasks.make(task, args.size, args.seed, output)
            return 0
        if args.own is None:
            output = args.output or Path("data")
            check_folder(output)
            prepare(output, args.source)
            return 0
        output = args.output or Path("data/own") / f"{own_name(args.own)}.parquet"
        if output.suffix != ".parquet":
            raise DataError("with --own it must end in .parquet", file=f"--output {output}")
        check_file(output)
        rows = convert(args.own, output, OWN + args.name if args.name else None, args.allow_wrong_golds)
        print(
            f"{output}: {rows} questions. Train on it with data.train_files={output}, evaluate with --datasets={output}"
        )
    except DataError as error:
        print("\n".join(f"data error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
