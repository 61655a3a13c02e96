"""The samples that a run keeps: ``samples/train_000001.jsonl`` in its folder, one file a step, one JSON line a sample.

    for file in sample_files("runs/NAME"): samples = file.read()

Training writes them (:mod:`rlvr.training.recorder`), :mod:`passk` reads them. A file is whole or not there. It may hold a part of
the step's questions (``trainer.samples_per_step``), but always every sample of a question. Deliberately left out: figures of a
step, which are in ``metrics.jsonl`` and stand on all of its samples.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from rlvr.incorrect import KINDS
from rlvr.records import DataError, read_lines

FOLDER = "samples"
TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)
UNFINISHED = ".unfinished"
NAME = re.compile(rf"({'|'.join(SPLITS)})_(\d{{6,}})\.jsonl")


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One response of the model; a line of a file.

    Attributes:
        step: whose weights wrote it: a training step from 1, or the step after which was validated (0: before training).
        split: ``train`` or ``validation``.
        question_id: the same for the same question at every step: :func:`question_id`.
        group: the samples of one question at one step; a question that was asked twice has two.
        question: the last message of the prompt.
        answer: the whole response, without special tokens.
        extracted: what the grader took for the final answer; None if it found none, or its reward function does not say.
        gold: the right answer, a JSON list of several; empty where the data has none.
        correct: whether the reward is 1.
        layer: of the grader, which decided (:class:`rlvr.verify.Verdict`); None of reward functions that do not say.
        kind: what an incorrect sample is (:mod:`rlvr.incorrect`); None of a correct one.
        kept: whether it stayed in the step; false in validation, which learns from nothing.
        advantage: of the sample; where an estimator gives every token its own (GAE), their mean. None where there is none: dropped
            samples of upstream's estimators, questions left out of the step, validation.
        tokens: of the response.
        finish_reason: ``stop``, or ``length`` where it was cut at the longest that it may be.
        log_prob: mean over its tokens, by the sampling policy; None where it was not computed.
        entropy: mean over its tokens, of the policy before the update; None where it was not computed.
    """

    step: int
    split: Literal["train", "validation"]
    question_id: str
    group: str
    question: str
    answer: str
    extracted: str | None
    gold: str
    correct: bool
    layer: str | None
    kind: str | None
    kept: bool
    advantage: float | None
    tokens: int
    finish_reason: Literal["stop", "length"]
    log_prob: float | None
    entropy: float | None

    def __post_init__(self) -> None:
        if (self.kind is None) != self.correct:
            raise ValueError(
                f"correct is {self.correct}, kind is {self.kind}: incorrect samples have a kind, correct ones none"
            )
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind}: it must be one of {', '.join(KINDS)}")


class SampleFile(NamedTuple):
    """One file of a run."""

    step: int
    split: str
    path: Path

    def read(self) -> list[Sample]:
        """Its samples.

        Raises:
            DataError: if it cannot be read; names the line.
        """
        return read(self.path)


def sample_files(run: Path | str) -> list[SampleFile]:
    """The files of a run's folder by step, a step's training before its validation; what has another name is left out."""
    folder = Path(run) / FOLDER
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    found = [SampleFile(int(match[2]), match[1], folder / name) for name in names if (match := NAME.fullmatch(name))]
    return sorted(found)


def path_of(run: Path | str, split: str, step: int) -> Path:
    """Where the samples of a step are."""
    return Path(run) / FOLDER / f"{split}_{step:06d}.jsonl"


def read(path: Path) -> list[Sample]:
    """The samples of a file.

    Raises:
        DataError: if it cannot be read; names the line.
    """
    samples = []
    for line in read_lines(path):
        try:
            samples.append(_decode(line.text))
        except msgspec.DecodeError as error:
            raise DataError(f"no sample: {error}", file=path, row=f"line {line.number}") from None
    return samples


def write(run: Path | str, split: str, step: int, samples: Iterable[Sample]) -> Path:
    """Write a step's file anew, whatever was there; it has its name only when it is complete and on the disk."""
    path = path_of(run, split, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            file.writelines(_encode(sample) + b"\n" for sample in samples)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def remove_after(run: Path | str, step: int) -> list[Path]:
    """Remove what a run that goes on after ``step`` will do again, and what a killed writer left; returns what was removed."""
    undone = [file.path for file in sample_files(run) if file.step > step]
    folder = Path(run) / FOLDER
    undone += sorted(folder.glob(f"*{UNFINISHED}")) if folder.is_dir() else []
    for path in undone:
        path.unlink()
    return undone


def question_id(data_source: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """16 hexadecimal digits of the data source and the whole prompt."""
    prompt = json.dumps([data_source, *messages], sort_keys=True, default=str)
    return hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()


def _encode(sample: Sample) -> bytes:
    try:
        return msgspec.json.encode(sample)
    except UnicodeEncodeError:  # half of a surrogate pair, from a reward function: no text that a file could hold
        texts = {name: value for name, value in msgspec.structs.asdict(sample).items() if isinstance(value, str)}
        clean = {name: text.encode(errors="replace").decode() for name, text in texts.items()}
        return msgspec.json.encode(msgspec.structs.replace(sample, **clean))


_decode = msgspec.json.Decoder(Sample).decode
