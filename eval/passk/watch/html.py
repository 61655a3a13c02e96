"""The page in one file, which opens from disk: its samples travel in it, compressed, and are unpacked when they are asked for."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passk.pages import json_in_html
from passk.storage import write_atomically
from passk.watch.columns import columns
from passk.watch.document import document
from passk.watch.folder import Run
from passk.watch.state import state

MAX_BYTES = 256 * 2**20  # of the files of samples that one page holds, of all runs together


def write_html(runs: Sequence[Run], path: Path) -> list[str]:
    """Write the page of ``runs`` to ``path``.

    Returns:
        What is not in it, a line each.

    Raises:
        DataError: if a file of samples cannot be read; names the line.
        OSError: if ``path`` cannot be written.
    """
    shown = state(runs)
    blocks: list[tuple[str, bytes]] = []
    for number, run in enumerate(runs):
        kept = _fitting(run, MAX_BYTES // len(runs))
        left_out = len(run.files) - len(kept)
        entry = shown["runs"][number]
        if left_out:
            text = f"the samples of {len(kept)} of {len(run.files)} files are in this page, spread over the run"
            entry["problems"].append(f"{text}; `python -m passk.watch {run.folder}` shows all")
        entry["samples"] = [one for one in entry["samples"] if (one["split"], one["step"]) in kept]
        blocks += [(block_id(number, *key), _packed(columns(run.files[key][0].read()))) for key in kept]
    write_atomically(path, [document(shown, live=False, blocks=blocks)])
    return [f"{entry['name']}: {line}" for entry in shown["runs"] for line in entry["problems"]]


def block_id(run: int, split: str, step: int) -> str:
    """Of the element that holds a file's samples; the page's script makes the same."""
    return f"{split}-{step}-{run}"


def _packed(value: dict[str, Any]) -> bytes:
    return zlib.compress(json_in_html(value).encode(), 6)


def _fitting(run: Run, budget: int) -> list[tuple[str, int]]:
    """As many of the run's files as fit, at equal distances, the first and the last among them."""
    keys = list(run.files)
    count = len(keys)
    while count > 2 and sum(run.files[key][1][1] for key in _spread(keys, count)) > budget:
        count = count * 9 // 10
    return _spread(keys, count)


def _spread(keys: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    if count >= len(keys):
        return keys
    return [keys[round(number * (len(keys) - 1) / (count - 1))] for number in range(count)]
