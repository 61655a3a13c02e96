"""``metrics.jsonl`` beside the checkpoints: one JSON object a step, kept across resumes.

verl's own file logger starts the file anew at every start, which loses the steps before a resume. And verl saves the checkpoint
of a step before the step has its metrics: what is known by then is put beside the file first, and a run that goes on after a step
without a line takes that one.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends steps to ``path``. Steps after the one resumed from were undone, so they are removed.

    Attributes:
        recovered: the step whose line is what was known of it before its checkpoint; None where nothing was missing.
    """

    def __init__(self, path: Path, resumed_from: int):
        self.path = path
        self.known = path.with_name(path.name + ".known")
        self.recovered: int | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self._keep_until(resumed_from)
        self._recover(resumed_from)

    def _keep_until(self, last_step: int) -> None:
        kept = []
        for line in self.path.read_text().splitlines():
            try:
                step = json.loads(line)["step"]
            except json.JSONDecodeError:
                continue  # the last line of a killed run
            if step <= last_step and last_step > 0:
                kept.append(line + "\n")
        _replace(self.path, "".join(kept))

    def _recover(self, last_step: int) -> None:
        if last_step <= 0 or not self.known.is_file() or self.last("step") == last_step:
            return
        line = json.loads(self.known.read_text())
        if line["step"] == last_step:
            self.append(last_step, line)
            self.recovered = last_step

    def last(self, key: str) -> float | None:
        """The newest value of ``key``, so that a count goes on after a resume; None if no step has it."""
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        return next((value for line in reversed(lines) if (value := json.loads(line).get(key)) is not None), None)

    def append(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Write one line; what is not a number is left out."""
        with self.path.open("a") as file:
            file.write(_line(step, metrics))

    def before_checkpoint(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Keep what is known of a step, for a run that is killed between its checkpoint and its line."""
        _replace(self.known, _line(step, metrics))

    def complete(self, metrics: Mapping[str, Any]) -> None:
        """Add ``metrics`` to the line that was recovered, if one was."""
        if self.recovered is not None:
            *before, last = self.path.read_text().splitlines(keepends=True)
            _replace(self.path, "".join(before) + _line(self.recovered, {**json.loads(last), **metrics}))


def _line(step: int, metrics: Mapping[str, Any]) -> str:
    numbers = {key: float(value) for key, value in metrics.items() if key != "step" and _is_number(value)}
    return json.dumps({"step": step, **numbers}) + "\n"


def _replace(path: Path, text: str) -> None:
    """The file is the old or the new one at any moment."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text)
    os.replace(unfinished, path)


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str) and getattr(value, "size", 1) == 1
