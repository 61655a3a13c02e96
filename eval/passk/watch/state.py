"""All that the page shows of its runs except their samples, as one JSON document."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from passk.watch import events, settings
from passk.watch.folder import Run
from passk.watch.panels import PANELS, Figures, Line, Panel, Row, hours
from rlvr.incorrect import KINDS

DIGITS = 6  # of a figure on the page
VERSIONS = ("time", "resumed_from")  # of a start, what is no version


def state(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures, settings and events of every run, and which steps have samples."""
    configs = [settings.flat(run.config) for run in runs]
    return {
        "panels": [
            {"name": name, "heading": heading, "unit": unit, "stacked": stacked}
            for name, (heading, unit, stacked, _) in PANELS.items()
        ],
        "kinds": list(KINDS),
        "marks": events.MARKS,
        "differences": settings.differences(configs),
        "runs": [_run(run, config) for run, config in zip(runs, configs)],
    }


def _run(run: Run, config: dict[str, str]) -> dict[str, Any]:
    rows = run.rows
    starts = run.starts.records
    return {
        "name": run.name,
        "steps": [row["step"] for row in rows],
        "hours": [_rounded(value) for value in hours(rows)],
        "total": _total(config),
        "changed_at": run.changed_at,
        "panels": {name: _panel(draw(rows), rows) for name, (_, _, _, draw) in PANELS.items()},
        "events": [one._asdict() for one in events.events(rows, starts, run.watchdog.records)],
        "settings": settings.main(config),
        "config": config,
        "versions": starts[-1].get("versions", {}) if starts else {},
        "samples": [
            {"split": split, "step": step, "stamp": list(stamp)} for (split, step), (_, stamp) in run.files.items()
        ],
        "problems": run.problems,
    }


def _total(config: dict[str, str]) -> int | None:
    text = config.get("trainer.total_training_steps", "")
    return int(text) if text.isdecimal() else None


def _panel(panel: Panel, rows: Sequence[Row]) -> dict[str, Any]:
    return {"lines": [_line(line) for line in panel.lines], "missing": panel.missing if rows else []}


def _line(line: Line) -> dict[str, Any]:
    return {key: _column(value) if isinstance(value, list) else value for key, value in asdict(line).items()}


def _column(values: Figures) -> Figures | None:
    """Rounded; None where no step has a figure."""
    return [_rounded(value) for value in values] if any(value is not None for value in values) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
