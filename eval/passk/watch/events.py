"""What stands on the time axis of a run beside its figures: skipped steps, grader failures, figures that are no numbers, samples
that could not be written, rollout processes that died, what the watchdog said, and starts. Pure functions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from passk.watch.panels import Row, number, samples_of

# kind -> the letter that marks it: colour is never the only sign
MARKS = {"skipped": "S", "grader": "G", "not a number": "N", "lost": "L", "died": "D", "watchdog": "W", "start": "R"}


class Event(NamedTuple):
    """``step``: at or after which it happened."""

    step: int
    kind: str
    text: str


def events(
    rows: Sequence[Row], starts: Iterable[Mapping[str, Any]], watchdog: Iterable[Mapping[str, Any]]
) -> list[Event]:
    """All of a run, by step.

    Args:
        rows: of ``metrics.jsonl``.
        starts: of ``starts.jsonl``; the first start of a run is no event.
        watchdog: of ``watchdog.jsonl``.
    """
    found = [
        *_counted(rows, "rlvr/skipped_steps", "skipped", "no sample to learn from: the update was skipped"),
        *_counted(rows, "rlvr/sample_files_lost", "lost", "the samples of this step could not be written"),
        *_died(rows),
        *_grader(rows),
        *_no_numbers(rows),
    ]
    for one in watchdog:
        lines = one.get("lines")
        if isinstance(lines, list):
            text = " · ".join(str(line).strip() for line in lines)
            found.append(Event(_step(one, "step"), "watchdog", f"{one.get('time', '')}: {text}"))
    for one in list(starts)[1:]:
        found.append(Event(_step(one, "resumed_from"), "start", f"started again at {one.get('time', '')}"))
    return sorted(found, key=lambda event: event.step)


def _counted(rows: Sequence[Row], key: str, kind: str, text: str) -> list[Event]:
    """Where a count of the whole run went up."""
    found, before = [], 0.0
    for row in rows:
        count = number(row, key)
        if count is not None and count > before:
            found.append(Event(row["step"], kind, text))
        before = before if count is None else count
    return found


def _died(rows: Sequence[Row]) -> list[Event]:
    found = []
    for row in rows:
        counts = {what: number(row, f"rlvr/restarted_rollout_{what}s") or 0.0 for what in ("server", "worker")}
        for what, count in counts.items():
            if count:
                text = f"a rollout {what} died" + ("" if count == 1 else f" {count:.0f} times")
                found.append(Event(row["step"], "died", f"{text} and was started anew"))
    return found


def _grader(rows: Sequence[Row]) -> list[Event]:
    found = []
    for row in rows:
        counts = {what: number(row, f"rlvr/grader_{what}") or 0.0 for what in ("timeouts", "errors")}
        if failed := sum(counts.values()):
            parts = ", ".join(f"{what}: {count:.0f}" for what, count in counts.items() if count)
            of = samples_of(row)
            text = f"the grader failed on {failed:.0f}{'' if of is None else f' of {of:.0f}'} answers ({parts})"
            found.append(Event(row["step"], "grader", text))
    return found


def _no_numbers(rows: Sequence[Row]) -> list[Event]:
    found = []
    for row in rows:
        bad = [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
        if bad:
            names = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
            found.append(Event(row["step"], "not a number", f"{names}: {row[bad[0]]}"))
    return found


def _step(record: Mapping[str, Any], key: str) -> int:
    value = record.get(key)
    return value if isinstance(value, int) else 0
