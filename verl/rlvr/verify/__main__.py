"""Grade a file of answers.

    python -m rlvr.verify --input FILE --output FILE [--workers N] [--deadline S] [--extraction boxed,…] [--accept TASTE,…]

Input: JSON lines with ``gold`` and either ``response`` (the answer is extracted) or ``prediction`` (it is the answer), graded as
mathematics; with ``"data_source": "reasoning_gym/NAME"`` and the data file's ``entry`` and ``question`` by that task's scoring.
Output: one JSON line for each, in order: ``correct``, ``extracted``, ``layer``, ``seconds``, ``error``, and ``grader``, the stamp
of name, version and policies, so that no verdict is ever without it. A malformed line ends the run with exit code 2 and its
file, line and reason; all verdicts before it are in the output.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rlvr.outputs import check_file
from rlvr.records import DataError, read_lines
from rlvr.verify.extract import extract
from rlvr.verify.policy import EXTRACTIONS, TASTES, Policy
from rlvr.verify.reasoning_gym import SOURCE, TaskVerifier, problem_with
from rlvr.verify.verdict import Verdict
from rlvr.verify.verifier import Verifier

EXIT_CODE = 2


class MalformedLine(ValueError):
    """A line of the input that cannot be graded: file, line, why."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        policy = Policy(_names(options.extraction), _names(options.accept))
        total = sum(1 for _ in read_lines(options.input))
        check_file(options.output, options.input)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        verifier = Verifier(policy, options.workers, options.deadline)
        tasks = TaskVerifier(policy, options.workers, options.deadline)
    except ValueError as error:  # DataError is one
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODE
    counts = {"graded": 0, "correct": 0, "timeouts": 0, "errors": 0}
    lines_read = _Lines(options.input, verifier)
    try:
        with (
            options.output.open("w", encoding="utf-8", buffering=1) as output,
            tqdm(total=total, unit="verdict") as bar,
        ):
            for verdict in _verdicts(lines_read, verifier, tasks):
                record = {**asdict(verdict), "grader": str(verifier.stamp)}
                output.write(json.dumps(record, ensure_ascii=False) + "\n")
                counts["graded"] += 1
                counts["correct"] += verdict.correct
                counts["timeouts"] += verdict.timed_out
                counts["errors"] += verdict.failed
                bar.update()
    finally:
        verifier.close()
        tasks.close()
    print(f"{options.output}: " + ", ".join(f"{count} {name}" for name, count in counts.items()), file=sys.stderr)
    if lines_read.problem:
        print(f"error: {lines_read.problem}", file=sys.stderr)
        return EXIT_CODE
    return 0


@dataclass(frozen=True)
class _Line:
    """An answer, None where there was none, and its gold; ``task`` is of reasoning-gym, None for mathematics."""

    answer: str | None
    gold: str
    task: str | None = None
    record: dict[str, Any] = field(default_factory=dict)


def _verdicts(lines: Iterable[_Line], verifier: Verifier, tasks: TaskVerifier) -> Iterator[Verdict]:
    for task, group in groupby(lines, key=lambda line: line.task):
        if task is None:
            yield from verifier.stream(((line.answer, line.gold) for line in group), extracted=True)
        else:
            for line in group:
                yield tasks.compare(task, line.answer, {**line.record, "target": line.gold})


class _Lines:
    """Every line, up to the first malformed one, which is kept for the end."""

    def __init__(self, file: Path, verifier: Verifier) -> None:
        self.file = file
        self.verifier = verifier
        self.problem: str | None = None

    def __iter__(self) -> Iterator[_Line]:
        try:
            for line in read_lines(self.file):
                try:
                    yield self.read(line.text)
                except MalformedLine as error:
                    self.problem = f"{self.file}, line {line.number}: {error}"
                    return
        except DataError as error:  # a gzip file that is cut off
            self.problem = str(error)

    def read(self, line: bytes) -> _Line:
        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MalformedLine(f"not JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get("gold"), str):
            raise MalformedLine("no text 'gold'")
        gold, task = record["gold"], _task(record)
        if isinstance(record.get("response"), str):
            response = record["response"]
            found = self.verifier.extract(response, gold) if task is None else extract(response, self.verifier.policy)
            return _Line(found, gold, task, record)
        if isinstance(record.get("prediction"), str):
            return _Line(record["prediction"], gold, task, record)
        raise MalformedLine("neither a text 'response' nor a text 'prediction'")


def _task(record: dict[str, Any]) -> str | None:
    """The task of reasoning-gym that a line names.

    Raises:
        MalformedLine: if it cannot be graded.
    """
    source = record.get("data_source")
    if not isinstance(source, str) or not source.startswith(SOURCE):
        return None
    task = source.removeprefix(SOURCE)
    if problem := problem_with(task):
        raise MalformedLine(f"data_source {source!r}: {problem}")
    if not isinstance(record.get("entry"), str):
        raise MalformedLine(f"no text 'entry', which {source} needs (ground_truth.entry of its data file)")
    return task


def _names(listed: str) -> tuple[str, ...]:
    return tuple(filter(None, listed.split(",")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rlvr.verify", description="Grade a file of answers.")
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2, help="processes of the symbolic layer")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds of processor time for one verdict")
    parser.add_argument("--extraction", default=",".join(EXTRACTIONS), help="policies for responses, in order")
    parser.add_argument("--accept", default="", help=f"matters of taste: {', '.join(TASTES)}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
