"""Several methods with several training seeds each after the same steps, in one report; a study writes one for each arm.

    write_study(base, methods, folder, title)

Writes a self-contained ``report.html``, ``pass_at_k.png``, ``differences.png``, ``methods.png``, ``training.png``,
``metrics.json`` and ``tables.md``: pass@k with intervals over questions and seeds, paired differences to the base model and of
every two methods, the training curves, responses to read. Deliberately left out: choosing seeds or settings; every run that is
given is in the figures.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from passk.estimate import Difference, Estimate, Statistic, default_ks
from passk.plot import difference_curves, difference_points, new_figure, plain, plot_curves, svg_text
from passk.report import page
from passk.seeds import difference_seeds, estimate_seeds, table
from passk.storage import write_atomically
from passk.tally import Tally

BASE = "base"

Steps = list[dict[str, Any]]  # the metrics of one run, a step each


@dataclass(frozen=True)
class SeedRun:
    """One training run: its evaluated samples and its ``metrics.jsonl``."""

    seed: int
    tally: Tally
    metrics_file: Path


def share(step: dict[str, float], name: str, of: Sequence[str]) -> float:
    """``name`` in percent of the sum of ``of``; not a number where a step has them not, as a validation before training."""
    return 100 * step.get(name, math.nan) / sum(step.get(part, math.nan) for part in of)


# Panel title -> value of a step. Steps without an update have no losses, and only some are validated. Entropy is the validation's:
# that of training is over the kept samples, and a method that keeps correct ones keeps less uncertain ones.
PANELS = {
    "accuracy of the samples, %": lambda step: 100 * step.get("rlvr/accuracy", math.nan),
    "token entropy of validation, nats": lambda step: step.get("val-core/entropy", math.nan),
    "questions solved by every sample, %": lambda step: share(step, "rlvr/fully_solved", ["rlvr/questions"]),
    "samples kept, %": lambda step: share(step, "rlvr/kept_count", ["rlvr/correct_count", "rlvr/incorrect_count"]),
    "response length, tokens": lambda step: step.get("rlvr/response_length", math.nan),
    "clipped tokens, %": lambda step: 100 * step.get("actor/pg_clipfrac", math.nan),
}
ENDS = 5  # steps


def write_study(base: Tally, methods: Mapping[str, Sequence[SeedRun]], folder: Path, title: str) -> list[str]:
    """Everything about the runs, into ``folder``; returns the tables as Markdown lines.

    Raises:
        ValueError: if two files do not ask the same questions, or a question misses samples.
        OSError: if a file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tallies = {BASE: [base]} | {name: [run.tally for run in runs] for name, runs in methods.items()}
    ks = default_ks(base)
    estimates = [estimate_seeds(name, counts, ks) for name, counts in tallies.items()]
    to_base = [difference_seeds(name, tallies[name], BASE, [base], ks) for name in methods]
    pairs = [difference_seeds(b, tallies[b], a, tallies[a], ks) for a, b in combinations(methods, 2)]
    plot_curves(estimates, folder / "pass_at_k.png", title)
    steps = {name: [read_steps(run.metrics_file) for run in runs] for name, runs in methods.items()}
    curves = training_curves(steps)
    curves.savefig(folder / "training.png", dpi=130)
    differences = difference_curves(to_base, title)
    differences.savefig(folder / "differences.png", dpi=150)
    first_seeds = {name: counts[0] for name, counts in tallies.items()}
    points = difference_points(to_base, title)
    points.savefig(folder / "methods.png", dpi=130)
    pictures = {
        f"Minus the {BASE}": svg_text(differences),
        "Method by method": svg_text(points),
        "Training": svg_text(curves),
    }
    document = page(
        first_seeds,
        estimates,
        [*to_base, *pairs],
        title,
        pictures,
        resampled="questions and seeds; responses: first seed",
    )
    write_atomically(folder / "report.html", [document.encode()])
    record = {
        "estimates": [asdict(one) for one in estimates],
        "differences": [asdict(one) for one in [*to_base, *pairs]],
        "seeds": {name: [{"seed": run.seed} | by_k(run.tally, ks) for run in runs] for name, runs in methods.items()},
    }
    write_atomically(folder / "metrics.json", [json.dumps(record, indent=2).encode()])
    lines = markdown(estimates, to_base, pairs, {name: len(counts) for name, counts in tallies.items()})
    lines += ["", *markdown_training(steps)]
    write_atomically(folder / "tables.md", ["\n".join([*lines, ""]).encode()])
    return lines


def by_k(tally: Tally, ks: Sequence[int]) -> dict[str, float]:
    """pass@k of one seed, without an interval."""
    values = table([tally], list(tally.questions), ks).mean(axis=(0, 1))
    return {f"pass@{k}": float(value) for k, value in zip(ks, values)}


def read_steps(metrics_file: Path) -> Steps:
    """The steps of a run; validation before training is step 0."""
    return [json.loads(line) for line in metrics_file.read_text(encoding="utf-8").splitlines()]


def series(steps: Steps, value_of: Callable[[dict[str, Any]], float]) -> dict[int, float]:
    """step -> value, where there is one."""
    values = {step["step"]: value_of(step) for step in steps}
    return {step: value for step, value in values.items() if not math.isnan(value)}


def training_curves(methods: Mapping[str, Sequence[Steps]]) -> Any:
    """One panel a metric, one colour a method: the mean over seeds, and each seed thinly."""
    figure, axes = new_figure(2, 3, figsize=(12.5, 6.4))
    for panel, (title, value_of) in zip(axes.flat, PANELS.items()):
        for number, (name, runs) in enumerate(methods.items()):
            curves = [series(steps, value_of) for steps in runs]
            for curve in curves:
                panel.plot([*curve], [*curve.values()], color=f"C{number + 1}", linewidth=0.6, alpha=0.35)
            common = sorted(set.intersection(*map(set, curves)))
            means = [np.mean([curve[step] for curve in curves]) for step in common]
            panel.plot(common, means, color=f"C{number + 1}", linewidth=1.8, label=plain(name))
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("step", fontsize=9)
        panel.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    return figure


def markdown(
    estimates: Sequence[Estimate], to_base: Sequence[Difference], pairs: Sequence[Difference], seeds: dict[str, int]
) -> list[str]:
    """Three tables: pass@k, differences to the base, differences of every two methods."""
    ks = list(estimates[0].pass_at_k)
    first = estimates[0]
    lines = [f"pass@k in %, {first.questions} held-out questions, {first.samples_per_question[1]} samples each", ""]
    lines += _head(["model (seeds)", *(f"@{k}" for k in ks)])
    lines += [_row(f"{one.name} ({seeds[one.name]})", one.pass_at_k, ks, "") for one in estimates]
    lines += ["", "minus the base, paired by question, in points", "", *_head(["method", *(f"@{k}" for k in ks)])]
    lines += [_row(one.name, one.pass_at_k, ks, "+") for one in to_base]
    if pairs:
        lines += ["", "between methods, paired by question, in points", "", *_head(["pair", *(f"@{k}" for k in ks)])]
        lines += [_row(f"{one.name} − {one.baseline}", one.pass_at_k, ks, "+") for one in pairs]
    return lines


def markdown_training(methods: Mapping[str, Sequence[Steps]]) -> list[str]:
    """First and last five steps of training, means over the seeds."""
    title = f"training, mean of the steps before the {ENDS}th → of the last {ENDS} steps, over seeds"
    lines = [title, "", *_head(["method", *PANELS])]
    for name, runs in methods.items():
        cells = []
        for value_of in PANELS.values():
            ends = [first_and_last(series(steps, value_of), steps[-1]["step"]) for steps in runs]
            cells.append(" → ".join(format(float(end), ".3g") for end in np.mean(ends, axis=0)))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def first_and_last(values: dict[int, float], last: int) -> tuple[float, float]:
    """Means before step 5, and of the five steps up to ``last``; not a number where there is no value."""
    ends = (
        [value for step, value in values.items() if step < ENDS],
        [value for step, value in values.items() if step > last - ENDS],
    )
    first_mean, last_mean = (sum(end) / len(end) if end else math.nan for end in ends)
    return first_mean, last_mean


def _head(titles: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]


def _row(name: str, values: dict[int, Statistic], ks: Sequence[int], sign: str) -> str:
    cells = []
    for k in ks:
        middle, low, high = (
            format(100 * part, f"{sign}.1f") for part in (values[k].value, values[k].low, values[k].high)
        )
        cells.append(f"{middle} [{low}, {high}]")
    return f"| {name} | {' | '.join(cells)} |"
