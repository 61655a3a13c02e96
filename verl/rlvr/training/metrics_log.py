"""``metrics.jsonl`` beside the checkpoints: one JSON object a step, kept across resumes.

verl's own file logger starts the file anew at every start, which loses the steps before a resume.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends steps to ``path``. Steps after the one resumed from were undone, so they are removed."""

    def __init__(self, path: Path, resumed_from: int):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self._keep_until(resumed_from)

    def _keep_until(self, last_step: int) -> None:
        kept = []
        for line in self.path.read_text().splitlines():
            try:
                step = json.loads(line)["step"]
            except json.JSONDecodeError:
                continue  # the last line of a killed run
            if step <= last_step and last_step > 0:
                kept.append(line + "\n")
        unfinished = self.path.with_name(self.path.name + ".unfinished")
        unfinished.write_text("".join(kept))
        os.replace(unfinished, self.path)

    def last(self, key: str) -> float | None:
        """The newest value of ``key``, so that a count goes on after a resume; None if no step has it."""
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        return next((value for line in reversed(lines) if (value := json.loads(line).get(key)) is not None), None)

    def append(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Write one line; what is not a number is left out."""
        numbers = {key: float(value) for key, value in metrics.items() if _is_number(value)}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str) and getattr(value, "size", 1) == 1
