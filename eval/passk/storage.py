"""Stored samples: one JSON line a sample, appended a whole question at a time.

The fields are those of the paper's own evaluation (prompt, question, question_id, generation_id, response, answer,
gold_answer, pred_answer, label) plus data_source, tokens, finish_reason, kind (what an incorrect answer is: :mod:`passk.kinds`),
error (why there is no proper verdict, ``timeout`` for one) and grader (its stamp).

A question's lines are one ``write``. A process killed in the middle of it leaves a part of one question at the end of the
file, nothing else; opening the store again cuts that part off. Anything else that is wrong was not written by this program
and is refused. Deliberately left out: several writers to one file; a lock refuses the second.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from passk.rows import Row, decode_row
from rlvr import records

SYNC_SECONDS = 1.0  # a power cut loses at most this much; a killed process loses nothing


class StoreError(ValueError):
    """The file cannot be continued; says why."""


class SampleStore:
    """The samples of one model on one data set; thread-safe."""

    def __init__(self, path: Path, num_generation: int) -> None:
        """Lock the file, cut off what a killed run left unfinished.

        Raises:
            StoreError: if another run writes it, or its content is damaged.
        """
        self.path = path
        self._num_generation = num_generation
        self._file = _open_locked(path)
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        try:
            self.question_ids, end, self.right = _complete_questions(self._file, path, num_generation)
        except StoreError:
            self._file.close()
            raise
        self.cut_off = self._file.seek(0, os.SEEK_END) - end
        os.ftruncate(self._file.fileno(), end)

    def append(self, samples: Sequence[Mapping[str, Any]]) -> None:
        """Store all samples of one question."""
        question_id = samples[0]["question_id"]
        block = b"".join(json.dumps(sample).encode() + b"\n" for sample in samples)
        with self._lock:
            if question_id in self.question_ids or len(samples) != self._num_generation:
                raise StoreError(f"{self.path}: question {question_id} is stored already or has {len(samples)} samples")
            self._file.write(block)  # unbuffered, O_APPEND
            self.question_ids.add(question_id)
            self.right += sum(bool(sample["label"]) for sample in samples)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()  # gives the lock back


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """All fields of every sample.

    Raises:
        DataError: for a line that is not JSON; names the file and the line.
    """
    for line in records.read_lines(path):
        yield records.parse_line(line, path)


def write_atomically(path: Path, lines: Iterable[bytes]) -> None:
    """Write a whole file; ``path`` is replaced only when it is complete and on the disk."""
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _open_locked(path: Path) -> BinaryIO:
    file = path.open("ab+", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StoreError(f"{path}: another run is writing it") from None
    return file


def _complete_questions(file: BinaryIO, path: Path, num_generation: int) -> tuple[set[int | str], int, int]:
    """(ids of the complete questions, where the last of them ends, how many right answers they have)."""
    done: set[int | str] = set()
    right = block_right = 0
    end = offset = 0
    block: list[Row] = []
    with open(file.fileno(), "rb", closefd=False) as reader:
        reader.seek(0)
        for number, line in enumerate(reader, start=1):
            offset += len(line)
            where = f"{path}, line {number}"
            if not line.endswith(b"\n"):
                break  # the end of a write that was cut short
            try:
                row = decode_row(line)
            except msgspec.DecodeError as error:
                raise StoreError(f"{where}: damaged ({error}); move the file away to start anew") from None
            if block and row.question_id != block[0].question_id:
                raise StoreError(
                    f"{where}: question {block[0].question_id} ends after {len(block)} of {num_generation} samples"
                )
            if row.question_id in done or row.generation_id != len(block):
                raise StoreError(f"{where}: question {row.question_id}, generation {row.generation_id} is out of place")
            block.append(row)
            block_right += bool(row.label)
            if len(block) == num_generation:
                done.add(row.question_id)
                right += block_right
                block, block_right, end = [], 0, offset
    return done, end, right
