"""A run's folder, followed while the run writes to it: what was appended is read, and nothing twice.

``metrics.jsonl`` (a line a step), ``samples/`` (a file a step: :mod:`rlvr.sample_files`), ``config.yaml``, ``starts.jsonl`` and
``watchdog.jsonl``. All of them may be missing, be in the middle of being written, or be made anew by a run that goes on from a
checkpoint. What cannot be read is told in :attr:`Run.problems`, never left out in silence.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rlvr import sample_files
from rlvr.records import DataError
from rlvr.sample_files import SampleFile

METRICS, CONFIG = "metrics.jsonl", "config.yaml"
STARTS, WATCHDOG = "starts.jsonl", "watchdog.jsonl"
Stamp = tuple[int, int, int]  # inode, size, time of the last change


class Lines:
    """The records of a file of JSON lines that grows.

    Attributes:
        records: every whole line that is a JSON object.
        bad: numbers, from 1, of the lines that are none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.bad: list[int] = []
        self._stamp: Stamp | None = None
        self._read, self._lines = 0, 0

    def refresh(self) -> bool:
        """Read what is new; whether anything was."""
        stamp = stamp_of(self.path)
        if stamp == self._stamp:
            return False
        made_anew = stamp is None or self._stamp is None or stamp[0] != self._stamp[0] or stamp[1] < self._read
        self._stamp = stamp
        if made_anew:
            self.records, self.bad, self._read, self._lines = [], [], 0, 0
        if stamp is not None:
            with self.path.open("rb") as file:
                file.seek(self._read)
                self._take(file.read())
        return True

    def _take(self, text: bytes) -> None:
        whole = text.rfind(b"\n") + 1  # the rest is being written
        self._read += whole
        for line in text[:whole].splitlines():
            self._lines += 1
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                self.records.append(record)
            elif line.strip():
                self.bad.append(self._lines)


class Run:
    """One run.

    Attributes:
        name: how the page calls it.
        folder: where it lies.
        config: ``config.yaml``, empty where there is none yet.
        files: its files of samples, by (split, step), with the stamp of each.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """
        Raises:
            DataError: if ``folder`` is not the folder of a run.
        """
        self.folder, self.name = folder, name
        if not folder.is_dir():
            raise DataError("is no folder", file=folder, remedy="name the folder of a run, such as runs/NAME")
        if not any((folder / one).exists() for one in (METRICS, CONFIG, sample_files.FOLDER)):
            raise DataError(
                f"holds no run: neither {METRICS} nor {CONFIG} nor {sample_files.FOLDER}/",
                file=folder,
                remedy="name the folder that the run writes to (trainer.default_local_dir)",
            )
        self.metrics = Lines(folder / METRICS)
        self.starts = Lines(folder / STARTS)
        self.watchdog = Lines(folder / WATCHDOG)
        self.config: dict[str, Any] = {}
        self.files: dict[tuple[str, int], tuple[SampleFile, Stamp]] = {}
        self._config_stamp: Stamp | None = None
        self._config_problem: list[str] = []

    def refresh(self) -> bool:
        """Look at the folder; whether anything changed since the last look."""
        changed = [lines.refresh() for lines in (self.metrics, self.starts, self.watchdog)]
        return any([*changed, self._refresh_config(), self._refresh_files()])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl`` that have a step, in the order of steps, the newest where one stands twice."""
        steps = {row["step"]: row for row in self.metrics.records if isinstance(row.get("step"), int)}
        return [steps[step] for step in sorted(steps)]

    @property
    def problems(self) -> list[str]:
        """What of the folder cannot be read, a line each."""
        found = list(self._config_problem)
        for lines in (self.metrics, self.starts, self.watchdog):
            if lines.bad:
                found.append(
                    f"{lines.path.name}: {len(lines.bad)} lines are no JSON objects, the first is line {lines.bad[0]}"
                )
        without = sum(not isinstance(row.get("step"), int) for row in self.metrics.records)
        return found + [f"{METRICS}: {without} lines have no step"] * bool(without)

    @property
    def changed_at(self) -> float | None:
        """Unix time of the last write to ``metrics.jsonl`` or a file of samples; None before the first."""
        stamps = [stamp for stamp in (stamp_of(self.metrics.path), *(one for _, one in self.files.values())) if stamp]
        return max((stamp[2] / 1e9 for stamp in stamps), default=None)

    def _refresh_config(self) -> bool:
        path = self.folder / CONFIG
        stamp = stamp_of(path)
        if stamp == self._config_stamp:
            return False
        self._config_stamp, self.config, self._config_problem = stamp, {}, []
        if stamp is not None:
            try:
                found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
                if not isinstance(found, dict):
                    raise ValueError("it holds no keys")
                self.config = {str(key): value for key, value in found.items()}
            except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
                self._config_problem = [f"{CONFIG} cannot be read: {' '.join(str(error).split())[:200]}"]
        return True

    def _refresh_files(self) -> bool:
        files = {}
        for file in sample_files.sample_files(self.folder):
            if stamp := stamp_of(file.path):  # a resume may have removed it by now
                files[file.split, file.step] = (file, stamp)
        changed = files != self.files
        self.files = files
        return changed


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in ``folders``, named after them; with as much of the path as tells them apart.

    Raises:
        DataError: if one is not the folder of a run, or is named twice.
    """
    paths = [folder.resolve() for folder in folders]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise DataError("is named twice", file=folders[number])
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    runs = [Run(folder, "/".join(path.parts[-depth:])) for folder, path in zip(folders, paths)]
    for run in runs:
        run.refresh()
    return runs


def stamp_of(path: Path) -> Stamp | None:
    """What tells one state of a file from another; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
