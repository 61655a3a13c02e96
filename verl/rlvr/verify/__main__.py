"""Grade a file of answers.

    python -m rlvr.verify --input FILE --output FILE [--workers N] [--deadline S] [--extraction boxed,…] [--accept TASTE,…]

Input: JSON lines with ``gold`` and either ``response`` (the answer is extracted) or ``prediction`` (it is the answer).
Output: one JSON line for each, in order: ``correct``, ``extracted``, ``layer``, ``seconds``, ``error``, and ``grader``, the stamp
of name, version and policies, so that no verdict is ever without it. A malformed line ends the run with exit code 2 and its
file, line and reason; all verdicts before it are in the output.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from rlvr.verify.policy import EXTRACTIONS, TASTES, Policy
from rlvr.verify.verifier import Verifier

EXIT_CODE = 2


class MalformedLine(ValueError):
    """A line of the input that cannot be graded: file, line, why."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    policy = Policy(tuple(filter(None, options.extraction.split(","))), tuple(filter(None, options.accept.split(","))))
    verifier = Verifier(policy, options.workers, options.deadline)
    with open(options.input, "rb") as lines:
        total = sum(1 for _ in lines)
    counts = {"graded": 0, "correct": 0}
    pairs = _Pairs(options.input, verifier)
    try:
        with (
            open(options.output, "w", encoding="utf-8", buffering=1) as output,
            tqdm(total=total, unit="verdict") as bar,
        ):
            for verdict in verifier.stream(pairs, extracted=True):
                record = {**asdict(verdict), "grader": str(verifier.stamp)}
                output.write(json.dumps(record, ensure_ascii=False) + "\n")
                counts["graded"] += 1
                counts["correct"] += verdict.correct
                bar.update()
    finally:
        verifier.close()
    summary = {**counts, "timeouts": verifier.timeouts, "errors": verifier.errors}
    print(f"{options.output}: " + ", ".join(f"{count} {name}" for name, count in summary.items()), file=sys.stderr)
    if pairs.problem:
        print(f"error: {pairs.problem}", file=sys.stderr)
        return EXIT_CODE
    return 0


class _Pairs:
    """(answer, gold) of each line, up to the first malformed one, which is kept for the end."""

    def __init__(self, file: str, verifier: Verifier) -> None:
        self.file = file
        self.verifier = verifier
        self.problem: str | None = None

    def __iter__(self) -> Iterator[tuple[str | None, str]]:
        with open(self.file, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield self.read(line)
                except MalformedLine as error:
                    self.problem = f"{self.file}, line {number}: {error}"
                    return

    def read(self, line: bytes) -> tuple[str | None, str]:
        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MalformedLine(f"not JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get("gold"), str):
            raise MalformedLine("no text 'gold'")
        if isinstance(record.get("response"), str):
            return self.verifier.extract(record["response"], record["gold"]), record["gold"]
        if isinstance(record.get("prediction"), str):
            return record["prediction"], record["gold"]
        raise MalformedLine("neither a text 'response' nor a text 'prediction'")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rlvr.verify", description="Grade a file of answers.")
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--workers", type=int, default=2, help="processes of the symbolic layer")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds for one symbolic verdict")
    parser.add_argument("--extraction", default=",".join(EXTRACTIONS), help="policies for responses, in order")
    parser.add_argument("--accept", default="", help=f"matters of taste: {', '.join(TASTES)}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
