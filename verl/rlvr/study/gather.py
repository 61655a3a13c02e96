"""From the files of a study to paths: samples of the base and of every checkpoint, and what each run logged of itself.

Only seeds of which every checkpoint has been answered count; whatever is missing is named. Deliberately left out: figures
(:mod:`passk.frontier`, :mod:`rlvr.study.claims`).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passk.frontier import method_path
from passk.tally import Tally, tally
from rlvr.study.claims import ENTROPY, Paths
from rlvr.study.commands import RunFailed
from rlvr.study.runs import BASE, Asked, Planned, Run
from rlvr.study.spec import Spec

VALIDATION_ENTROPY = "val-core/entropy"
COSTS = LOST, SAMPLES, TOKENS = ("entropy lost, nats", "samples seen", "tokens trained on")


@dataclass(frozen=True)
class Trained:
    """The seeds of one method that are complete."""

    runs: list[Run]
    steps: tuple[int, ...]  # of the path, with the base's 0
    last: list[Tally]  # a seed each: the checkpoint of the tables
    paths: Paths
    costs: dict[str, list[list[float]]]  # of COSTS, those that were logged -> (seeds, steps)


@dataclass
class Gathered:
    """Everything of one data set."""

    dataset: str
    base: Tally
    arms: dict[str, dict[str, Trained]]
    missing: list[str] = field(default_factory=list)


class Reader:
    """Reads each file of samples once."""

    def __init__(self) -> None:
        self._read: dict[Path, Tally] = {}

    def __call__(self, file: Path) -> Tally:
        """
        Raises:
            RunFailed: if the samples are not complete.
        """
        if file not in self._read:
            counts = tally(file)
            if counts.problems:
                raise RunFailed(f"{file} is not complete: {counts.problems[0]}")
            self._read[file] = counts
        return self._read[file]


def gather(spec: Spec, planned: Planned, asked: Asked, dataset: str, read: Reader) -> Gathered:
    """The paths of every method of every arm on one data set.

    Raises:
        RunFailed: if the base has not been answered.
        DataError: if a file cannot be read.
    """
    if not asked.done(BASE, 0).is_file():
        raise RunFailed("the base model has not been answered yet, and everything is compared with it")
    base = read(asked.files(BASE, 0)[dataset])
    gathered = Gathered(dataset, base, {})
    entropy = base_entropy(planned.arms)
    for arm, methods in planned.arms.items():
        gathered.arms[arm] = {}
        for method, runs in methods.items():
            complete = [run for run in runs if all(asked.done(run.name, step).is_file() for step in asked.steps)]
            if len(complete) < len(runs):
                lacking = ", ".join(str(run.seed) for run in runs if run not in complete)
                gathered.missing.append(f"{arm}: {method} lacks seed {lacking} of {len(runs)}")
            if complete:
                trained = _trained(spec, complete, asked, dataset, base, entropy, read)
                gathered.arms[arm][method] = trained
                lacking_costs = [name for name in COSTS if name not in trained.costs]
                if lacking_costs:
                    gathered.missing.append(
                        f"{arm}: {method} has no {', '.join(lacking_costs)}: not logged at every checkpoint"
                    )
    return gathered


def base_entropy(arms: Mapping[str, Mapping[str, Sequence[Run]]]) -> float:
    """The mean over all runs that logged one before their first step: one model, whose entropies differ by sampling alone.

    Not a number if none did.
    """
    folders = {run.folder for methods in arms.values() for runs in methods.values() for run in runs}
    logged = [read_log(folder / "metrics.jsonl").get(0, {}).get(VALIDATION_ENTROPY) for folder in sorted(folders)]
    found = [one for one in logged if one is not None]
    return math.fsum(found) / len(found) if found else math.nan


def _trained(
    spec: Spec, runs: list[Run], asked: Asked, dataset: str, base: Tally, entropy_of_base: float, read: Reader
) -> Trained:
    answers = [{step: read(asked.files(run.name, step)[dataset]) for step in asked.steps} for run in runs]
    path = method_path(runs[0].method, base, answers, spec.evaluation.ks)
    logs = [read_log(run.folder / "metrics.jsonl") for run in runs]
    entropy_at = [entropies(log, path.steps, entropy_of_base) for log in logs]
    entropy = path.carrying(ENTROPY, entropy_at) if known(entropy_at) else None
    logged = {
        LOST: [[entropy_of_base - one for one in row] for row in entropy_at],
        SAMPLES: [summed(log, samples_of, path.steps) for log in logs],
        TOKENS: [summed(log, tokens_of, path.steps) for log in logs],
    }
    costs = {name: rows for name, rows in logged.items() if known(rows)}
    last = [one[checkpoint_of(spec, log, asked.steps)] for one, log in zip(answers, logs)]
    return Trained(runs, path.steps, last, Paths(path, entropy), costs)


def read_log(file: Path) -> dict[int, dict[str, Any]]:
    """step -> metrics; validation before training is step 0."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {record["step"]: record for record in map(json.loads, lines)}


def known(rows: Sequence[Sequence[float]]) -> bool:
    return not any(math.isnan(value) for row in rows for value in row)


def entropies(log: Mapping[int, dict[str, Any]], steps: Sequence[int], of_base: float) -> list[float]:
    """The base's and those of validation at each checkpoint of one run; not a number where it was not logged."""
    return [of_base, *(log.get(step, {}).get(VALIDATION_ENTROPY, math.nan) for step in steps[1:])]


def summed(
    log: Mapping[int, dict[str, Any]], of_step: Callable[[dict[str, Any]], float], steps: Sequence[int]
) -> list[float]:
    """``of_step`` over the steps up to each checkpoint; not a number where it was not logged."""
    return [math.fsum(of_step(log.get(step, {})) for step in range(1, last + 1)) for last in steps]


def samples_of(step: dict[str, Any]) -> float:
    """Answers that a step drew."""
    return step.get("rlvr/correct_count", math.nan) + step.get("rlvr/incorrect_count", math.nan)


def tokens_of(step: dict[str, Any]) -> float:
    """Tokens of the answers that a step learned from; none in a step that was skipped."""
    kept = step.get("rlvr/kept_count", math.nan)
    return kept * step.get("response_length/mean", math.nan) if kept else 0.0


def checkpoint_of(spec: Spec, log: dict[int, dict[str, Any]], steps: Sequence[int]) -> int:
    """The checkpoint of the tables, by the rule of the specification.

    Raises:
        RunFailed: if the rule names a metric that the run has not at its checkpoints.
    """
    rule = spec.evaluation.checkpoint
    if rule == "last":
        return steps[-1]
    values = {step: log.get(step, {}).get(rule) for step in steps}
    there = {step: value for step, value in values.items() if value is not None}
    if not there:
        raise RunFailed(f"evaluation.checkpoint={rule} is in no step of metrics.jsonl at which a checkpoint was made")
    return max(there, key=lambda step: there[step])
