"""``starts.jsonl`` beside the checkpoints: one line for each start of a run, with the step it goes on from and the versions."""

import json
import time
from pathlib import Path

from rlvr.versions import versions


def note_start(folder: Path, resumed_from: int) -> None:
    """Append a line: ``time``, ``resumed_from`` (0: from the beginning), ``versions``."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "resumed_from": resumed_from, "versions": versions()}
    with (folder / "starts.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
