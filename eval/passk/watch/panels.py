"""``metrics.jsonl`` as curves: which figures the page shows, of what they are shares, and what a run does not log. Pure functions.

A share travels with its count and its denominator. Intervals are 95 %, of the standard error over questions that the run logs: the
samples of a question are alike, so an interval over samples would be too narrow. Deliberately left out: smoothing.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.incorrect import KINDS

Row = Mapping[str, Any]
Figures = list[float | None]

VALIDATION = re.compile(r"val-core/(.+)/pass@(\d+)")
TRAINING = re.compile(r"rlvr/pass@(\d+)")
NORMAL_95 = 1.96
# Parts of a step that do not overlap, in their order, as upstream's trainer names them
PHASES = (
    "gen",
    "reward",
    "old_log_prob",
    "ref",
    "values",
    "adv",
    "update_critic",
    "update_actor",
    "save_checkpoint",
    "update_weights",
)
BESIDE_THE_STEP = {"validation": "testing", "samples": "samples"}  # label -> phase that is not counted in timing_s/step


@dataclass
class Line:
    """One curve; all lists are (steps,), None where the run logged nothing.

    Attributes:
        of: denominators, in ``what`` ("samples", "questions").
        count: numerators, where they are counts.
        spread: half the width of a 95 % interval.
    """

    label: str
    values: Figures
    of: Figures | None = None
    what: str = ""
    count: Figures | None = None
    spread: Figures | None = None


@dataclass
class Panel:
    """One picture of one run; ``missing``: what it does not show, and why, a line each."""

    lines: list[Line] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def number(row: Row, key: str) -> float | None:
    """A figure of a step; None where it was not logged or is no finite number (which :mod:`passk.watch.events` tells)."""
    value = row.get(key)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def column(rows: Sequence[Row], key: str) -> Figures:
    return [number(row, key) for row in rows]


def samples_of(row: Row) -> float | None:
    """All samples of a training step."""
    right, wrong = number(row, "rlvr/correct_count"), number(row, "rlvr/incorrect_count")
    return None if right is None or wrong is None else right + wrong


def share(rows: Sequence[Row], key: str, label: str) -> Line:
    """A count of samples as a share of all samples of the step."""
    count, of = column(rows, key), [samples_of(row) for row in rows]
    values = [c / n if c is not None and n else None for c, n in zip(count, of)]
    return Line(label, values, of, "samples", count)


def accuracy(rows: Sequence[Row]) -> Panel:
    training = share(rows, "rlvr/correct_count", "training")
    training.spread = [_half_width(row, "rlvr/accuracy_standard_error") for row in rows]
    lines = [training]
    for source in _sources(rows):
        line = Line(f"validation {source}", column(rows, f"val-core/{source}/pass@1"), what="samples")
        line.of = column(rows, f"val-core/{source}/samples")
        line.spread = [_half_width(row, f"val-core/{source}/accuracy_standard_error") for row in rows]
        lines.append(line)
    return _panel(lines, {"training": "rlvr/correct_count"}, "val-core/…/pass@1" if len(lines) == 1 else None)


def pass_at_k(rows: Sequence[Row]) -> Panel:
    ks = sorted({int(match[1]) for row in rows for key in row if (match := TRAINING.fullmatch(key))})
    asked = column(rows, "rlvr/questions")
    lines = [Line(f"pass@{k}", column(rows, f"rlvr/pass@{k}"), asked, "questions") for k in ks]
    for source in _sources(rows):
        k = max(
            int(match[2]) for row in rows for key in row if (match := VALIDATION.fullmatch(key)) and match[1] == source
        )
        values, of = column(rows, f"val-core/{source}/pass@{k}"), column(rows, f"val-core/{source}/questions")
        lines.append(Line(f"validation {source} pass@{k}", values, of, "questions"))
    return _panel(lines, {}, None if ks else "rlvr/pass@k (questions that differ in their samples have none)")


def entropy(rows: Sequence[Row]) -> Panel:
    keys = {"kept samples": "actor/entropy", "validation": "val-core/entropy"}
    return _panel([Line(label, column(rows, key)) for label, key in keys.items()], keys)


def learned_from(rows: Sequence[Row]) -> Panel:
    keys = {"kept": "rlvr/kept_count", "pushed up": "rlvr/pushed_up_count", "pushed down": "rlvr/pushed_down_count"}
    return _panel([share(rows, key, label) for label, key in keys.items()], keys)


def kinds(rows: Sequence[Row]) -> Panel:
    keys = {"correct": "rlvr/correct_count"} | {kind.replace("_", " "): f"rlvr/incorrect_{kind}" for kind in KINDS}
    return _panel([share(rows, key, label) for label, key in keys.items()], keys)


def length(rows: Sequence[Row]) -> Panel:
    counts = {"all": [samples_of(row) for row in rows]}
    counts |= {kind: column(rows, f"rlvr/{kind}_count") for kind in ("correct", "incorrect")}
    keys = {"all": "rlvr/response_length"} | {kind: f"rlvr/response_length_{kind}" for kind in ("correct", "incorrect")}
    return _panel([Line(label, column(rows, key), counts[label], "samples") for label, key in keys.items()], keys)


def clip_fraction(rows: Sequence[Row]) -> Panel:
    keys = {"positive": "actor/pg_clipfrac_positive", "negative": "actor/pg_clipfrac_negative"}
    return _panel([Line(label, column(rows, key)) for label, key in keys.items()], keys)


def gradient_norm(rows: Sequence[Row]) -> Panel:
    return _panel([Line("before clipping", column(rows, "actor/grad_norm"))], {"before clipping": "actor/grad_norm"})


def seconds(rows: Sequence[Row]) -> Panel:
    """Time by phase, validation and the writing of samples included; what a step took beside its phases is ``other``."""
    lines = [Line(phase.replace("_", " "), column(rows, f"timing_s/{phase}")) for phase in PHASES]
    parts = [sum(line.values[at] or 0.0 for line in lines) for at in range(len(rows))]
    step = column(rows, "timing_s/step")
    other: Figures = [None if whole is None else max(0.0, whole - part) for whole, part in zip(step, parts)]
    lines.append(Line("other", other))
    lines += [Line(label, column(rows, f"timing_s/{phase}")) for label, phase in BESIDE_THE_STEP.items()]
    lines = [line for line in lines if any(value is not None for value in line.values)]
    return _panel(lines, {"other": "timing_s/step"})


# name -> (heading, unit, whether the lines add up to a whole, what is drawn)
PANELS: dict[str, tuple[str, str, bool, Callable[[Sequence[Row]], Panel]]] = {
    "accuracy": ("Accuracy", "share", False, accuracy),
    "pass_at_k": ("pass@k of the samples", "share", False, pass_at_k),
    "entropy": ("Entropy of a token, nats", "number", False, entropy),
    "learned_from": ("Learned from, share of the samples", "share", False, learned_from),
    "kinds": ("Correct, and kinds of incorrect", "share", True, kinds),
    "length": ("Length of a response, tokens", "number", False, length),
    "clip_fraction": ("Clipped tokens, by sign of the advantage", "share", False, clip_fraction),
    "gradient_norm": ("Gradient norm", "number", False, gradient_norm),
    "seconds": ("Time of a step by phase, s", "number", True, seconds),
}


def hours(rows: Sequence[Row]) -> list[float]:
    """(steps,) hours until the end of each step, its validation and samples; a step that logged no time took none."""
    total, ends = 0.0, []
    for row in rows:
        total += sum(number(row, f"timing_s/{phase}") or 0.0 for phase in ("step", *BESIDE_THE_STEP.values()))
        ends.append(total / 3600)
    return ends


def _sources(rows: Sequence[Row]) -> list[str]:
    """Data sources of the validation, in the order of their first appearance."""
    return list(dict.fromkeys(match[1] for row in rows for key in row if (match := VALIDATION.fullmatch(key))))


def _half_width(row: Row, key: str) -> float | None:
    error = number(row, key)
    return None if error is None else NORMAL_95 * error


def _panel(lines: Sequence[Line], keys: Mapping[str, str], also: str | None = None) -> Panel:
    """The lines that have a figure; of the others, which key of ``metrics.jsonl`` has none."""
    found = [line for line in lines if any(value is not None for value in line.values)]
    names = [line.label for line in found]
    missing = [f"{label}: {key}" for label, key in keys.items() if label not in names]
    if also is not None:
        missing.append(also)
    return Panel(found, [f"not in metrics.jsonl: {one}" for one in missing])
