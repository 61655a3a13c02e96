"""How often graders differ on stored samples, in what, and what that does to pass@k: a table for a paper's appendix.

    python -m passk.disagree FILE --graders rlvr,math-verify [--data_source math] [--k 1,8] [--output DIR/agreement]

Every response is graded by every grader (:mod:`passk.graders`; ``stored`` is the file's own label). Printed, and with ``--output``
written as ``.md`` and ``.json``: accuracy and pass@k of each with 95 % intervals, its paired difference to the first, and for each
pair how often they agree, by kind, with examples. Deliberately left out: who is right; that takes a person.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from passk.estimate import Difference, Estimate, Statistic, check_ks, default_ks, difference, estimate
from passk.grade import GradeMany, check_verifiers
from passk.graders import GRADERS, STORED, grader_named
from passk.metrics import EXIT_CODE, parse_ks
from passk.questions import gold_record
from passk.samples import Samples, read_samples
from passk.storage import write_atomically
from passk.tally import QuestionTally, Tally
from rlvr.outputs import check_folder
from rlvr.records import DataError
from rlvr.verify import Kind, Verdict

EXAMPLES = 20  # of each pair
SHOWN = 5  # of them in the printed report


@dataclass
class Pair:
    """Two graders on the same samples; ``kinds`` counts (kind by one, kind by the other) where they differ."""

    one: str
    other: str
    samples: int = 0
    agree: int = 0
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, sample: Mapping[str, Any], verdicts: Mapping[str, Verdict]) -> None:
        first, second = verdicts[self.one], verdicts[self.other]
        self.samples += 1
        if first.correct == second.correct:
            self.agree += 1
            return
        self.kinds[kind(first), kind(second)] += 1
        if len(self.examples) < EXAMPLES:
            example = {key: sample[key] for key in ("question_id", "generation_id")} | {"gold": sample["answer"][-200:]}
            for name, verdict in ((self.one, first), (self.other, second)):
                example[name] = {"verdict": kind(verdict), "extracted": verdict.extracted, "error": verdict.error}
            self.examples.append(example | {"end_of_response": sample["response"][-300:]})

    def as_json(self) -> dict[str, Any]:
        kinds = [{self.one: a, self.other: b, "samples": count} for (a, b), count in self.kinds.most_common()]
        return {"graders": [self.one, self.other], "samples": self.samples, "agree": self.agree} | {
            "differ_by_kind": kinds,
            "examples": self.examples,
        }


@dataclass
class Comparison:
    """What several graders say about the samples of one file."""

    tallies: dict[str, Tally]
    pairs: list[Pair]

    def figures(self, ks: Sequence[int] | None) -> tuple[list[Estimate], list[Difference]]:
        """Of every grader, and of every one but the first its paired difference to it.

        Raises:
            ValueError: if there are too few samples for a k.
        """
        names = list(self.tallies)
        wanted = ks or default_ks(self.tallies[names[0]])
        first = self.tallies[names[0]]
        return (
            [estimate(name, counts, wanted, False) for name, counts in self.tallies.items()],
            [difference(name, self.tallies[name], names[0], first, wanted) for name in names[1:]],
        )


def kind(verdict: Verdict) -> str:
    """In words; a grader that does not say what it extracted is not taken for one that found nothing."""
    if verdict.kind is Kind.NO_ANSWER and verdict.layer != "extraction":
        return "wrong"
    return str(verdict.kind.value).replace("_", " ")


def compare(
    source: Samples, names: Sequence[str], data_source: str | None, verifiers: Mapping[str, str] | None = None
) -> Comparison:
    """Grade every sample by every grader.

    Raises:
        DataError: if a sample misses what grading needs.
        ValueError: if there is no such grader, or the samples do not say their data source and none is given.
    """
    graders = {name: grader_named(name, verifiers) for name in names if name != STORED}
    found = Comparison({name: Tally(source.path) for name in names}, [Pair(*two) for two in combinations(names, 2)])
    with tqdm(read_samples(source), unit="sample", desc="grading") as bar:
        for _, group in groupby(bar, key=itemgetter("question_id")):
            for sample, verdicts in _graded(list(group), graders, STORED in names, data_source):
                for name in names:
                    _count(found.tallies[name], sample, verdicts[name])
                for pair in found.pairs:
                    pair.add(sample, verdicts)
    return found


def _graded(
    samples: list[dict[str, Any]], graders: Mapping[str, GradeMany], stored: bool, data_source: str | None
) -> Iterator[tuple[dict[str, Any], dict[str, Verdict]]]:
    first = samples[0]
    source = data_source or first.get("data_source")
    if source is None:
        raise ValueError("the samples do not say their data source: give --data_source, for example math")
    gold = gold_record(first["question"], first["answer"], first.get("entry"))
    responses = [sample["response"] for sample in samples]
    columns = {name: list(grade(source, gold, responses)) for name, grade in graders.items()}
    if stored:
        columns[STORED] = [_stored(sample) for sample in samples]
    for number, sample in enumerate(samples):
        yield sample, {name: column[number] for name, column in columns.items()}


def _stored(sample: Mapping[str, Any]) -> Verdict:
    if sample["label"] is None:
        raise DataError(
            "its label is null", row=f"question {sample['question_id']}", remedy="leave `stored` out of --graders"
        )
    pred, error = sample.get("pred_answer"), sample.get("error")
    return Verdict(sample["label"], pred if isinstance(pred, str) else None, error if isinstance(error, str) else None)


def _count(counts: Tally, sample: Mapping[str, Any], verdict: Verdict) -> None:
    question = counts.questions.setdefault(sample["question_id"], QuestionTally(hash(sample["question"])))
    bit = 1 << question.n
    question.seen |= bit
    question.right |= bit if verdict.correct else 0
    counts.samples += 1


# ---- the report


def report(path: Path, found: Comparison, ks: Sequence[int] | None) -> tuple[str, dict[str, Any]]:
    """(Markdown, the same and more as JSON).

    Raises:
        ValueError: if there are too few samples for a k.
    """
    estimates, differences = found.figures(ks)
    columns = ["accuracy", *(f"pass@{k}" for k in estimates[0].pass_at_k)]
    lines = [f"# Graders on {path.name}", ""]
    lines += [
        f"{estimates[0].questions} questions, {estimates[0].samples} samples; %, with 95 % intervals over questions.",
        "",
    ]
    lines += _table("grader", columns, [(one.name, [one.accuracy, *one.pass_at_k.values()]) for one in estimates])
    if differences:
        lines += ["", f"Minus {differences[0].baseline}, paired by question, in points:", ""]
        rows = [(one.name, [one.accuracy, *one.pass_at_k.values()]) for one in differences]
        lines += _table("grader", columns, rows, signed=True)
    for pair in found.pairs:
        lines += ["", *_pair_lines(pair)]
    data = {"file": str(path), "graders": [asdict(one) for one in estimates]}
    data |= {"differences": [asdict(one) for one in differences], "pairs": [pair.as_json() for pair in found.pairs]}
    return "\n".join(lines) + "\n", data


def _pair_lines(pair: Pair) -> Iterator[str]:
    share = pair.agree / max(1, pair.samples)
    yield f"{pair.one} and {pair.other} agree on {share:.2%}; they differ on {pair.samples - pair.agree} of {pair.samples}"
    if pair.kinds:
        yield from ("", f"| {pair.one} | {pair.other} | samples |", "| --- | --- | --- |")
        yield from (f"| {a} | {b} | {count} |" for (a, b), count in pair.kinds.most_common())
        yield ""
    for example in pair.examples[:SHOWN]:
        said = " · ".join(f"{name}: {_said(example[name])}" for name in (pair.one, pair.other))
        where = f"question {example['question_id']}, sample {example['generation_id']}"
        yield f"- {where}: gold `{_cell(example['gold'][-60:])}` · {said}"


def _said(verdict: Mapping[str, Any]) -> str:
    extracted = verdict["extracted"]
    return verdict["verdict"] + (f" `{_cell(extracted[:60])}`" if extracted else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")


def _table(
    corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Statistic]]], signed: bool = False
) -> Iterator[str]:
    yield f"| {corner} | {' | '.join(columns)} |"
    yield f"| --- |{' --- |' * len(columns)}"
    sign = "+" if signed else ""
    for name, values in rows:
        cells = [f"{100 * v.value:{sign}.2f} [{100 * v.low:{sign}.2f}, {100 * v.high:{sign}.2f}]" for v in values]
        yield f"| {name} | {' | '.join(cells)} |"


def command(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m passk.disagree", description=str(__doc__).splitlines()[0])
    parser.add_argument("file", type=Path, help="samples of any layout of docs/evaluation.md")
    names = ", ".join([STORED, *GRADERS])
    parser.add_argument("--graders", default="rlvr,math-verify", help=f"two or more of {names}, module:function")
    parser.add_argument("--data_source", help="in place of what the samples say")
    parser.add_argument("--verifiers", type=json.loads, help="as data.verifiers: JSON, pattern to kind")
    parser.add_argument("--k", type=parse_ks, help="like 1,8,64; default: 1, 2, 4, …")
    parser.add_argument("--output", type=Path, help="also write OUTPUT.md and OUTPUT.json")
    args = parser.parse_args(arguments)
    try:
        names_given = list(dict.fromkeys(filter(None, args.graders.split(","))))
        if len(names_given) < 2:
            raise ValueError(f"--graders {args.graders}: give two or more, of {names}, or module:function")
        check_verifiers(args.verifiers)
        source = Samples(args.file)
        if args.output is not None:
            check_folder(args.output.parent)
        if args.k is not None:  # before hours of grading
            samples_of = Counter(one["question_id"] for one in read_samples(source))
            check_ks(str(args.file), args.k, max(samples_of.values(), default=0))
        text, data = report(args.file, compare(source, names_given, args.data_source, args.verifiers), args.k)
        if args.output is not None:
            args.output.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(args.output.with_name(args.output.name + ".md"), [text.encode()])
            written = json.dumps(data, indent=2, ensure_ascii=False)
            write_atomically(args.output.with_name(args.output.name + ".json"), [written.encode(errors="replace")])
    except (ValueError, OSError) as error:
        print(f"passk.disagree: {error}", file=sys.stderr)
        return EXIT_CODE
    if described := source.described():
        print(described, file=sys.stderr)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(command())
