"""Counts of a file of samples in one streaming pass: memory goes with the questions, not with the samples' text.

Whatever makes the counts doubtful is found here and named: a truncated last line, lines that are not samples, generations that
are missing or there twice, null labels, questions without samples. Deliberately left out: judging whether to go on regardless
(:mod:`passk.metrics`).
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from passk.kinds import CUT, NOTHING, Told
from passk.manifest import read_manifest
from passk.rows import Row, failed, timed_out
from passk.samples import OURS, Samples, read_rows

SHOWN = 5  # examples named of each kind of problem


@dataclass(slots=True)
class QuestionTally:
    """One question; bit g of ``seen``, ``right``, ``unusable`` and of a kind stands for generation g."""

    text: int  # hash of the question, so that two files can be told to ask the same
    seen: int = 0
    right: int = 0
    unusable: int = 0  # null label, or there twice with different labels
    abstained: int = 0
    wrong: dict[int, int] = field(default_factory=dict)  # hash of a wrong answer -> how often
    kinds: dict[str, int] = field(default_factory=dict)  # of incorrect samples

    @property
    def n(self) -> int:
        return (self.seen & ~self.unusable).bit_count()

    @property
    def c(self) -> int:
        return (self.right & ~self.unusable).bit_count()

    def of_kind(self, kind: str) -> int:
        """Incorrect samples of that kind."""
        return (self.kinds.get(kind, 0) & ~self.unusable).bit_count()


@dataclass
class Tally:
    """One file."""

    path: Path
    questions: dict[int | str, QuestionTally] = field(default_factory=dict)
    samples: int = 0
    tokens: int = 0
    cut: int = 0  # answers that ended at --max_tokens
    timeouts: int = 0
    errors: int = 0  # of the grader; an answer without a box, say, is just wrong
    expected_samples: int = 0  # a question
    told: Told = field(default_factory=Told)  # how the kinds of incorrect samples are known
    problems: list[str] = field(default_factory=list)
    read_as: str | None = None  # what was taken for what, of a file that is not as we write it


def tally(path: Path) -> Tally:
    """Read samples of any layout that :mod:`passk.samples` knows.

    Raises:
        DataError: if the file cannot be read, or has no known layout.
    """
    result = Tally(path)
    malformed: list[str] = []
    duplicates: list[str] = []
    nulls: list[str] = []
    source = Samples(path)
    for item, row in read_rows(source):
        if row is not None:
            _count(result, row, duplicates, nulls)
        elif item.cut_off:
            result.problems.append(f"{item.where}, the last, is truncated")
        else:
            malformed.append(f"{item.where} is not a sample: {item.problem}")
    result.read_as = source.described()
    result.problems += _summary("lines that are not samples", malformed)
    result.problems += _summary("generations that are there more than once", duplicates)
    result.problems += _summary("null labels", nulls)
    if not result.told.answers_are_told:
        for question in result.questions.values():
            question.kinds["wrong"] = question.kinds.get("wrong", 0) | question.kinds.pop("no_answer", 0)
    _find_missing(result)
    return result


def _count(result: Tally, row: Row, duplicates: list[str], nulls: list[str]) -> None:
    question = result.questions.get(row.question_id)
    if question is None:
        question = result.questions[row.question_id] = QuestionTally(hash(bytes(row.question)))
    bit = 1 << row.generation_id
    if question.seen & bit:
        same = bool(question.right & bit) == bool(row.label)
        duplicates.append(
            f"question {row.question_id}, generation {row.generation_id}{'' if same else ' with another label'}"
        )
        if not same:
            question.unusable |= bit
        return
    question.seen |= bit
    result.samples += 1
    result.tokens += row.tokens
    if row.finish_reason == CUT:
        result.cut += 1
    result.timeouts += timed_out(row.error)
    result.errors += failed(row.error)
    kind = None if row.label is None else result.told.kind_of(row)
    if kind is not None:
        question.kinds[kind] = question.kinds.get(kind, 0) | bit
    if row.label:
        question.right |= bit
    elif row.label is None:
        question.unusable |= bit
        nulls.append(f"question {row.question_id}, generation {row.generation_id}")
    else:
        answer = bytes(row.pred_answer)
        if answer in NOTHING:
            question.abstained += 1
        else:
            key = hash(answer)
            question.wrong[key] = question.wrong.get(key, 0) + 1


def _find_missing(result: Tally) -> None:
    """Compare with the manifest; without one, with the fullest question and with the numbering of the questions."""
    manifest = read_manifest(result.path)
    ids = result.questions
    if manifest is None and ids and all(question.seen & 1 == 0 for question in ids.values()):
        for question in ids.values():  # whoever wrote them counts from 1
            question.seen, question.right = question.seen >> 1, question.right >> 1
            question.unusable >>= 1
            question.kinds = {kind: bits >> 1 for kind, bits in question.kinds.items()}
        result.read_as = f"{result.read_as or f'{result.path}: read as {OURS}'}: generations counted from 1"
    if manifest is not None:
        result.expected_samples = manifest["settings"]["num_generation"]
        expected_ids = range(manifest["questions"])
    else:
        result.expected_samples = max((question.seen.bit_length() for question in ids.values()), default=0)
        numbers = [key for key in ids if isinstance(key, int)]
        expected_ids = range(min(numbers), max(numbers) + 1) if numbers else range(0)
    if not ids:
        result.problems.append("no samples")
    result.problems += _summary(
        "questions without any sample", [f"question {number}" for number in expected_ids if number not in ids]
    )
    everything = (1 << result.expected_samples) - 1
    short: list[str] = []
    for key, question in ids.items():
        if question.seen != everything:
            missing = everything & ~question.seen
            first = (missing & -missing).bit_length() - 1
            what = f"misses generation {first}" if missing else "has more than it should"
            short.append(f"question {key} {what} ({question.seen.bit_count()} of {result.expected_samples})")
    result.problems += _summary("questions with missing generations", short)
    if short:
        sizes = Counter(question.seen.bit_count() for question in ids.values())
        listed = ", ".join(f"{count} have {size}" for size, count in sorted(sizes.items())[:SHOWN])
        result.problems.append(f"unequal sample counts: of {len(ids)} questions {listed}")


def _summary(what: str, found: list[str]) -> list[str]:
    if not found:
        return []
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [f"{len(found)} {what}: " + "; ".join(found[:SHOWN]) + more]
