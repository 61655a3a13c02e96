"""Grade stored responses again, without a GPU, and say where the two graders disagree.

    python -m passk.regrade --file_path FILE --output FILE2 [--grader module:function] [--data_source TianHongZXY/MATH]

Writes ``FILE2`` (the same samples with new verdicts and the new grader's stamp), its manifest, and
``FILE2.disagreements.json``. The grader is the installed :mod:`rlvr.verify`, or any function
``(data_source, gold record, responses) -> verdicts``. ``--data_source`` is for files that do not say it, such as those of the
paper's own evaluation. Deliberately left out: changing a file in place.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from passk import command_line
from passk.grade import Grader, check_verifiers, fields_of, installed_grader, other_grader
from passk.manifest import read_manifest, write_manifest
from passk.questions import gold_record
from passk.samples import Samples, read_samples
from passk.storage import write_atomically
from rlvr.outputs import check_file
from rlvr.records import DataError

EXIT_CODE = 2
EXAMPLES = 100  # disagreements that are listed in full
KINDS = {(False, True): "wrong to right", (True, False): "right to wrong", (None, True): "null to right"}
KINDS |= {(None, False): "null to wrong"}


class Disagreements:
    """Counts of samples whose label changed, and the first of them."""

    def __init__(self) -> None:
        self.samples = 0
        self.stamps: dict[str, int] = Counter()  # of the stored verdicts
        self.kinds: dict[str, int] = Counter()
        self.questions: dict[str, int] = Counter()
        self.examples: list[dict[str, Any]] = []

    def add(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self.samples += 1
        self.stamps[json.dumps(old.get("grader"), sort_keys=True)] += 1
        if old["label"] == new["label"]:
            return
        kind = KINDS[old["label"], bool(new["label"])]
        self.kinds[kind] += 1
        self.questions[str(old["question_id"])] += 1
        if len(self.examples) < EXAMPLES:
            example = {key: old[key] for key in ("question_id", "generation_id")} | {"change": kind}
            example |= {
                "gold_answer": old.get("gold_answer"),
                "error": new["error"],
                "end_of_response": old["response"][-300:],
            }
            example |= {"pred_answer_before": old.get("pred_answer"), "pred_answer": new["pred_answer"]}
            self.examples.append(example)

    def report(self, stamp: dict[str, Any]) -> dict[str, Any]:
        before = [{"grader": json.loads(text), "samples": count} for text, count in self.stamps.items()]
        changed = sum(self.kinds.values())
        return {"samples": self.samples, "changed": changed, "graders_before": before, "grader": stamp} | {
            "changes": dict(self.kinds),
            "questions": dict(self.questions),
            "examples": self.examples,
        }


def regrade(
    file_path: str,
    output: str,
    grader: str | None = None,
    data_source: str | None = None,
    verifiers: Mapping[str, str] | None = None,
) -> None:
    """Grade every response of ``file_path`` again and write ``output`` and a report of disagreements.

    Args:
        file_path: samples of any layout of docs/evaluation.md.
        output: gets the samples in our layout.
        grader: module:function in place of the installed verifier.
        data_source: for samples that do not say theirs.
        verifiers: how data sources that are not known are graded, like data.verifiers: '{"my/set*": "math"}'.
    """
    source, target = Path(str(file_path)), Path(str(output))
    try:
        if target.exists():
            raise ValueError(f"--output {output} exists already")
        check_verifiers(verifiers)
        judge = other_grader(str(grader)) if grader else installed_grader(verifiers)
        read_as = Samples(source)  # whether there is anything to grade
        check_file(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        disagreements = Disagreements()
        samples = regraded(
            tqdm(read_samples(read_as), unit="sample", desc="grading"), judge, data_source, disagreements
        )
        write_atomically(target, (json.dumps(sample).encode() + b"\n" for sample in samples))
        stored = read_manifest(source)
        if stored is not None:
            stored["settings"]["grader"] = judge.stamp
            write_manifest(target, stored | {"regraded_from": str(source)})
    except DataError as error:
        print(f"passk.regrade: {error}", file=sys.stderr)
        raise SystemExit(EXIT_CODE) from error
    except (ValueError, OSError) as error:
        raise SystemExit(f"passk.regrade: {error}") from error
    if described := read_as.described():
        print(described)
    report = disagreements.report(judge.stamp)
    report_path = target.with_name(target.name + ".disagreements.json")
    write_atomically(report_path, [json.dumps(report, indent=2).encode() + b"\n"])
    print(
        f"{report['changed']} of {report['samples']} labels changed: {report['changes'] or 'none'}; see {report_path}"
    )


def regraded(
    lines: Iterable[dict[str, Any]], judge: Grader, data_source: str | None, disagreements: Disagreements
) -> Iterator[dict[str, Any]]:
    """The samples with new verdicts; neighbours that answer the same question are graded in one call.

    Raises:
        ValueError: if a sample does not say its data source and none is given.
    """
    for _, group in groupby(lines, key=itemgetter("question_id")):
        samples = list(group)
        first = samples[0]
        source = first.get("data_source") or data_source
        if source is None:
            raise ValueError("the samples do not say their data source: give --data_source")
        verdicts = judge.grade(
            source,
            gold_record(first["question"], first["answer"], first.get("entry")),
            [one["response"] for one in samples],
        )
        for old, verdict in zip(samples, verdicts, strict=True):
            new = old | fields_of(verdict, old.get("finish_reason")) | {"grader": judge.stamp}
            disagreements.add(old, new)
            yield new


if __name__ == "__main__":
    command_line.run(regrade, "passk.regrade")
