"""``trainer.samples_per_step``: keeps samples of a run as files (:mod:`rlvr.sample_files`), in a thread beside the update.

The sampler hands over what it decided of every sample. Rows that the step does not learn from stay in TransferQueue until the
thread has read them. It reads while the workers update, and the trainer waits for that alone, before it clears the step's rows;
texts are made and written while the run goes on, one step at most behind. A file that cannot be written is one loud line and a
count in the metrics; training goes on. Deliberately left out: what is in the files (:mod:`rlvr.training.sample_lines`).
"""

import copy
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from transfer_queue import KVBatchMeta

from rlvr.sample_files import TRAIN, VALIDATION, Sample, remove_after, write
from rlvr.training.sample_lines import Decided, Decode, build, choose, read, read_and_clear, read_questions
from rlvr.training.samples import Samples, group_of

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

ALL = "all"


def is_due(step: int, per_step: int | str, test_freq: int, last_step: int) -> bool:
    """Whether the samples of a training step are kept: the first, the last, those with a validation; all of ``all``, none of 0."""
    if per_step in (ALL, 0):
        return per_step == ALL
    return step in (1, last_step) or (test_freq > 0 and step % test_freq == 0)


def recorder_of(folder: Path, settings: DictConfig, tokenizer: Any, step: int, last_step: int) -> "Recorder":
    """Of a run that goes on after ``step``; the samples of later ones were undone, and are removed.

    ``settings``: ``trainer`` of the configuration.
    """
    for undone in remove_after(folder, step if step > 0 else -1):
        logger.info("removing %s: the run goes on after step %d", undone, step)
    per_step = settings.samples_per_step
    due = partial(is_due, per_step=per_step, test_freq=settings.test_freq, last_step=last_step)
    return Recorder(folder, per_step, own_decoder(tokenizer), due)


class Recorder:
    """Follows one run.

    Args:
        run: the run's folder.
        per_step: ``trainer.samples_per_step``.
        decode: (tokens,) of a response to its text; it is called in a thread of its own.
        is_due: whether the samples of a training step are kept.
    """

    def __init__(self, run: Path, per_step: int | str, decode: Decode, is_due: Callable[[int], bool]):
        self.run = run
        self.limit = None if per_step == ALL else int(per_step)
        self.decode = decode
        self.is_due = is_due
        self.lost = 0  # files that could not be written
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rlvr-samples")
        self.decided: Decided | None = None
        self.reads: list[Future] = []
        self.parts: dict[str, list[Future]] = {TRAIN: [], VALIDATION: []}
        self.writing: Future | None = None

    def take(self, decided: Decided) -> bool:
        """Remember what the sampler decided; whether the dropped rows are to stay until :meth:`read` has seen them."""
        self.decided = decided if self.is_due(decided.step) else None
        return self.decided is not None

    @property
    def takes_the_step(self) -> bool:
        """Whether rows of the step are still to be read."""
        return self.decided is not None

    def read(self) -> None:
        """Begin to read what was taken; of its rows nothing may be missing any more."""
        if self.decided is not None:
            there = self.thread.submit(read_and_clear, self.decided, self.limit)
            self.reads.append(there)
            self.parts[TRAIN].append(self.thread.submit(lambda: build(there.result(), self.decode)))
            self.decided = None

    def finish(self, step: int) -> None:
        """Wait until the step's rows were read, and have them written."""
        wait(self.reads)
        self.reads.clear()
        self._write(TRAIN, step)

    def take_validation(self, step: int, batch: KVBatchMeta, judge: Callable[[KVBatchMeta], Samples]) -> None:
        """Read a batch of validation now, before its rows are cleared; ``judge`` reads rewards and kinds of a part of it."""
        if self.limit != 0:
            asked = read_questions(batch.keys, batch.partition_id)
            chosen = set(choose(asked, self.limit))
            samples = judge(batch.select_keys([key for key in batch.keys if group_of(key) in chosen]))
            nothing = [None] * len(samples.keys)
            decided = Decided(step, VALIDATION, batch.partition_id, samples, [False] * len(samples.keys), nothing)
            self.parts[VALIDATION].append(self.thread.submit(build, read(decided, asked), self.decode))

    def finish_validation(self, step: int) -> None:
        self._write(VALIDATION, step)

    def settle(self) -> None:
        """Wait for the file that is being written."""
        if self.writing is not None:
            wait([self.writing])

    def close(self) -> None:
        """Wait for the last file."""
        self.thread.shutdown(wait=True)

    def _write(self, split: str, step: int) -> None:
        parts = self.parts[split]
        if not parts:
            return
        self.settle()  # no more than a step is held in memory
        self.parts[split] = []
        self.writing = self.thread.submit(self._write_parts, split, step, parts)

    def _write_parts(self, split: str, step: int, parts: Sequence[Future]) -> None:
        try:
            samples = [sample for part in parts for sample in part.result()]
            write(self.run, split, step, within(samples, self.limit))
        except Exception as error:  # noqa: BLE001  (a full disk or a row that cannot be read: no reason to end the training)
            self.lost += 1
            said = " ".join(f"{type(error).__name__}: {error}".split())
            logger.error("step %d: its samples are not in a file, training goes on without it: %s", step, said)


def own_decoder(tokenizer: Any) -> Decode:
    """Decodes with a copy of the tokenizer, which must not be used by two threads at once."""
    own = copy.deepcopy(tokenizer)
    return lambda tokens: own.decode(tokens.tolist(), skip_special_tokens=True)


def within(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """The samples of up to ``limit`` groups: several batches of validation chose each for itself."""
    ordered = sorted(samples, key=place)
    chosen = set(list(dict.fromkeys(map(place, ordered)))[:limit])
    return [sample for sample in ordered if place(sample) in chosen]


def place(sample: Sample) -> tuple[str, str]:
    return sample.question_id, sample.group
