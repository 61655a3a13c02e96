"""Look at every gold before a run: is there one, and would the grader pay it?

    python -m rlvr.data.audit FILE [FILE …] [--verifiers '{"my/set*": "math"}'] [--json]

A gold that is empty, a sentence, or not right against itself makes every sample of its question incorrect: NSR would learn from
all of them. The checks before a run name such golds, warn of a few, and refuse the run above :data:`MOST`. The command also says
which layer of the grader decides each gold, and which questions stand twice in a file or in two files (training and test).
Deliberately left out: whether a gold is the right one.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.data.questions import GOLD_REMEDY, Question, Reading, survey
from rlvr.records import DataError
from rlvr.verify.normalise import normalise
from rlvr.verify.shape import TooComplex, read
from rlvr.verify.verifiers import UnknownDataSource, kind_of, verify_batch

MOST = 0.01  # share of golds that may be wrong before a run is refused
SHOWN = 20  # lines of each kind
EXIT_CODE = 2
PROBE = (
    "0.70710678118\\pi+\\sqrt{97}"  # an answer that no gold has: what decides that it is wrong is what reads the gold
)
LOOKS = re.compile(r"\s|\$|\\[()\[\],;:! ]|\\(?:left|right|displaystyle|qquad|quad)(?![a-zA-Z])|~")
LAYERS = {
    "numeric": "our grammar reads them",
    "symbolic": "only math-verify reads them",
    "text": "compared as text",
    "own": "by a verifier of their own",
}


@dataclass
class Audit:
    """What is wrong with a file."""

    path: str
    questions: list[Question]
    errors: list[DataError]  # rows that are no question
    golds: list[DataError]  # golds that are none, or not right against themselves
    sources: dict[str, int] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    twice: list[tuple[str, ...]] = field(default_factory=list)  # rows that ask the same

    @property
    def refused(self) -> bool:
        """Whether no run should start on it."""
        return bool(self.errors) or len(self.golds) > MOST * len(self.questions)


def look(path: Path | str, verifiers: Mapping[str, str] | None = None, layers: bool = False) -> Audit:
    """Read a file and grade every gold against itself; ``layers`` also asks what can decide it, which takes longer.

    Raises:
        DataError: if the file itself cannot be read.
        UnknownDataSource: if nobody grades one of its data sources.
    """
    return inspect(survey(path, verifiers), str(path), verifiers, layers)


def inspect(reading: Reading, path: str, verifiers: Mapping[str, str] | None = None, layers: bool = False) -> Audit:
    """:func:`look` at what was read."""
    found = Audit(path, reading.questions, reading.errors, [])
    found.sources = dict(Counter(question.data_source for question in reading.questions))
    for source in found.sources:
        kind_of(source, verifiers)
    found.golds = [question.problem for question in reading.questions if question.problem is not None]
    found.golds += against_themselves(reading.questions, path, verifiers)
    found.twice = [rows for rows in _same(reading.questions).values() if len(rows) > 1]
    if layers:
        found.layers = dict(_layers(reading.questions, verifiers))
    return found


def against_themselves(
    questions: Sequence[Question], path: str, verifiers: Mapping[str, str] | None = None
) -> list[DataError]:
    """Golds that the grader does not take for right when a model boxes them."""
    wrong = []
    for source, own in _by_source(questions):
        if kind_of(source, verifiers) == "countdown":  # its gold is a number, its answers are calculations
            continue
        separator = ", " if kind_of(source, verifiers) == "exact" else "} and \\boxed{"
        pairs = [(f"\\boxed{{{separator.join(question.golds)}}}", question.truth) for question in own]
        for question, verdict in zip(own, verify_batch(source, pairs, verifiers=verifiers)):
            if not verdict.correct:
                why = f" ({verdict.error})" if verdict.error else ""
                reason = f"the gold {'; '.join(question.golds)[:80]!r} is not right against itself{why}"
                wrong.append(DataError(reason, file=path, row=question.where, remedy=GOLD_REMEDY))
    return wrong


def shared(first: Audit, second: Audit) -> list[tuple[str, str]]:
    """(row, row) of questions that stand in both files."""
    there = _same(second.questions)
    return [(rows[0], there[text][0]) for text, rows in _same(first.questions).items() if text in there]


def warnings_and_errors(audit: Audit, allow: bool = False) -> tuple[list[str], list[str]]:
    """What the checks before a run say, one line each; ``allow`` makes wrong golds a warning however many there are."""
    errors = []
    warnings = []
    if audit.errors:
        errors.append(_one_line(audit.errors, "rows are no questions", audit))
    if audit.golds:
        line = _one_line(audit.golds, "golds are wrong", audit)
        if allow or len(audit.golds) <= MOST * len(audit.questions):
            warnings.append(f"{line}. Their samples are graded as errors")
        else:
            errors.append(f"{line}. Above {MOST:.0%} a run is refused: every sample of them would count as incorrect")
    copies = sum(len(rows) - 1 for rows in audit.twice)
    if copies > MOST * len(audit.questions):
        more = f"python -m rlvr.data.audit {audit.path} lists them"
        warnings.append(f"{audit.path}: {copies} of {len(audit.questions)} questions are copies of others; {more}")
    return warnings, errors


def _one_line(errors: Sequence[DataError], what: str, audit: Audit) -> str:
    total = len(audit.questions) + len(audit.errors)
    more = f"; python -m rlvr.data.audit {audit.path} lists them" if len(errors) > 1 else ""
    return f"{audit.path}: {len(errors)} of {total} {what}: {errors[0]}{more}"


def _by_source(questions: Sequence[Question]) -> Iterator[tuple[str, list[Question]]]:
    groups: dict[str, list[Question]] = {}
    for question in questions:
        if question.problem is None:
            groups.setdefault(question.data_source, []).append(question)
    yield from groups.items()


def _same(questions: Sequence[Question]) -> dict[str, tuple[str, ...]]:
    """Normalised question -> its rows."""
    groups: dict[str, list[str]] = {}
    for question in questions:
        groups.setdefault(normalised(question.text), []).append(question.where)
    return {text: tuple(rows) for text, rows in groups.items()}


def normalised(text: str) -> str:
    """A question without spaces, case and what LaTeX says about looks, in which copies of one question differ."""
    return LOOKS.sub("", text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")).casefold().rstrip(".")


def _layers(questions: Sequence[Question], verifiers: Mapping[str, str] | None) -> Counter[str]:
    found: Counter[str] = Counter()
    for source, own in _by_source(questions):
        kind = kind_of(source, verifiers)
        if kind != "math":
            found["text" if kind == "exact" else "own"] += len(own)
            continue
        readable = [one.golds[0] for one in own if not _is_text(one.golds[0])]
        found["text"] += len(own) - len(readable)
        for verdict in verify_batch(source, [(f"\\boxed{{{PROBE}}}", gold) for gold in readable], verifiers=verifiers):
            found["symbolic" if verdict.layer == "symbolic" else "numeric"] += 1
    return found


def _is_text(gold: str) -> bool:
    try:
        return read(normalise(gold)).kind == "text"
    except TooComplex:
        return True


# ---- the command


def as_json(audit: Audit) -> dict[str, Any]:
    return {
        "file": audit.path,
        "questions": len(audit.questions),
        "data_sources": audit.sources,
        "no_questions": [str(error) for error in audit.errors],
        "wrong_golds": [str(error) for error in audit.golds],
        "layers": audit.layers,
        "duplicates": [list(rows) for rows in audit.twice],
        "refused": audit.refused,
    }


def lines(audit: Audit) -> Iterator[str]:
    """The report of one file."""
    sources = ", ".join(f"{name} ({count})" for name, count in audit.sources.items())
    yield f"{audit.path}: {len(audit.questions)} questions; {sources or 'no data source'}"
    decided = ", ".join(f"{count} {name} ({LAYERS[name]})" for name, count in audit.layers.items() if count)
    yield f"  golds by what decides them: {decided or 'none'}"
    yield from _listed("rows are no questions", [str(error) for error in audit.errors])
    yield from _listed("golds are wrong", [str(error) for error in audit.golds])
    several = sum(len(question.golds) > 1 for question in audit.questions)
    if several:
        yield f"  {several} golds are lists of several answers: all of them must be given"
    yield from _listed("questions stand more than once", [", ".join(rows[:SHOWN]) for rows in audit.twice])
    share = len(audit.golds) / max(1, len(audit.questions))
    yield f"  {'REFUSED' if audit.refused else 'may be trained on'}: {share:.2%} of the golds are wrong (limit {MOST:.0%})"


def _listed(what: str, found: Sequence[str]) -> Iterator[str]:
    yield f"  {len(found)} {what}{':' if found else ''}"
    yield from (f"    {one}" for one in found[:SHOWN])
    if len(found) > SHOWN:
        yield f"    … and {len(found) - SHOWN} more (--json lists all)"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 2 if a run on a file would be refused."""
    parser = argparse.ArgumentParser(prog="python -m rlvr.data.audit", description=str(__doc__).splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="data files of any layout of docs/data.md")
    parser.add_argument("--verifiers", type=json.loads, default={}, help="as data.verifiers: JSON, pattern to kind")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    args = parser.parse_args(arguments)
    try:
        audits = [look(path, args.verifiers, layers=True) for path in args.files]
    except (DataError, UnknownDataSource) as error:
        print(f"data error: {error}", file=sys.stderr)
        return EXIT_CODE
    between = {
        (one.path, other.path): shared(one, other)
        for number, one in enumerate(audits)
        for other in audits[number + 1 :]
    }
    if args.json:
        pairs = [{"files": list(names), "duplicates": rows} for names, rows in between.items()]
        print(
            json.dumps({"files": [as_json(audit) for audit in audits], "between": pairs}, indent=2, ensure_ascii=False)
        )
    else:
        for audit in audits:
            print("\n".join(lines(audit)))
        for (one, other), rows in between.items():
            found = [f"{first} of {one} = {second} of {other}" for first, second in rows]
            print("\n".join(_listed(f"questions are in {one} and in {other}", found)).strip())
    return EXIT_CODE if any(audit.refused for audit in audits) else 0


if __name__ == "__main__":
    sys.exit(main())
