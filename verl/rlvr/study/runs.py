"""What a study is made of: training runs and evaluations, each with a folder, its settings, and whether it is done.

    planned = plan(spec, arms=["paper"], chosen={}, overrides=[])

A run's folder is named by method, what its arm sets, learning rate and seed, so that arms share the runs that are the same.
``plan.json`` in it says what the run is made of; a run that is there and is made of something else is refused, never mixed in.
Pure but for reading and writing these files. Deliberately left out: starting anything.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passk.models import ModelError, describe, resolve
from passk.storage import write_atomically
from rlvr import machine
from rlvr.data.questions import read_questions
from rlvr.records import DataError
from rlvr.study.commands import RunFailed, samples_file, training_command, weights_of
from rlvr.study.spec import Arm, Settings, Spec

BASE = "base"
LEARNING_RATE = "actor_rollout_ref.actor.optim.lr"
Chosen = Mapping[str, Mapping[str, float]]  # list of tuning.learning_rates -> method -> the rate that was chosen


@dataclass(frozen=True)
class Run:
    """One training run."""

    method: str
    seed: int
    learning_rate: float
    launcher: str
    overrides: tuple[str, ...]
    folder: Path
    checkpoints: tuple[int, ...]  # that are kept; the last is that of the last step

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def steps(self) -> int:
        return self.checkpoints[-1]

    @property
    def trained(self) -> bool:
        return all(has_weights(weights_of(self.folder, step)) for step in self.checkpoints)

    def command(self) -> list[str]:
        return training_command(self.launcher, self.overrides, self.folder, self.checkpoints)


@dataclass(frozen=True)
class Planned:
    """The runs of every arm, and each run once, seed by seed, so that a study that is cut short has whole seeds."""

    arms: dict[str, dict[str, list[Run]]]  # arm -> method -> its seeds

    @property
    def runs(self) -> list[Run]:
        every = {run.folder: run for methods in self.arms.values() for runs in methods.values() for run in runs}
        return sorted(every.values(), key=lambda run: run.seed)


def plan(spec: Spec, arms: Sequence[str], chosen: Chosen, overrides: Sequence[str]) -> Planned:
    """All runs of the arms; ``overrides`` go to every run, last.

    Raises:
        RunFailed: names the methods whose learning rate has not been chosen.
    """
    without = [
        f"{arm}: {method}"
        for arm in arms
        for method in spec.arms[arm].methods
        if rate_of(spec, arm, method, chosen) is None
    ]
    if without:
        raise RunFailed(f"no learning rate was chosen for {'; '.join(without)}: run the study with --tune first")
    planned: dict[str, dict[str, list[Run]]] = {}
    for name in arms:
        planned[name] = {}
        for method in spec.arms[name].methods:
            rate = rate_of(spec, name, method, chosen)
            assert rate is not None
            planned[name][method] = [
                make_run(spec, spec.arms[name], method, rate, seed, overrides) for seed in range(1, spec.seeds + 1)
            ]
    return Planned(planned)


def rate_of(spec: Spec, arm: str, method: str, chosen: Chosen) -> float | None:
    """The method's own learning rate, its arm's, or the one chosen; None if that has not been done."""
    own, of_arm = spec.methods[method], spec.arms[arm]
    if own.learning_rate is not None:
        return own.learning_rate
    if of_arm.tuned is None:
        return of_arm.learning_rate
    return chosen.get(of_arm.tuned, {}).get(own.learning_rate_of or method)


def make_run(spec: Spec, arm: Arm, method: str, rate: float, seed: int, overrides: Sequence[str]) -> Run:
    own = spec.methods[method]
    settings: Settings = {**spec.training.settings, **arm.settings, **own.settings, LEARNING_RATE: rate, "seed": seed}
    of_arm = "".join(f"-{key.rsplit('.', 1)[-1]}_{value_text(value)}" for key, value in arm.settings.items())
    return Run(
        method=method,
        seed=seed,
        learning_rate=rate,
        launcher=spec.training.launcher.format(config=own.config),
        overrides=(*(f"{key}={value_text(value)}" for key, value in settings.items()), *overrides),
        folder=Path(spec.output) / f"{method}{of_arm}-lr{rate_text(rate)}-seed{seed}",
        checkpoints=tuple(dict.fromkeys([*spec.training.checkpoints, spec.training.steps])),
    )


def value_text(value: Any) -> str:
    """As Hydra reads it on a command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(value_text, value))}]"
    return rate_text(value) if isinstance(value, float) and 0 < abs(value) < 1e-2 else str(value)


def rate_text(rate: float) -> str:
    """``1e-4``, ``6e-5``, ``1.5e-5``: short, and the same for every way to write it."""
    mantissa, exponent = f"{rate:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def check_settings(runs: Sequence[Run], base_model: str) -> None:
    """Write down what each run is made of; a run that is there must be made of the same.

    Raises:
        RunFailed: names the runs that are of other settings or another base model.
    """
    base = fingerprint(base_model)
    others = []
    for run in runs:
        own = {
            "launcher": run.launcher,
            "sha256": hashlib.sha256(Path(run.launcher).read_bytes()).hexdigest(),
            "overrides": list(run.overrides),
            "checkpoints": list(run.checkpoints),
            "base_model": base,
        }
        file = run.folder / "plan.json"
        if not file.is_file():
            run.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, [json.dumps({"settings": own, "made": provenance()}, indent=2).encode(), b"\n"])
            continue
        there = json.loads(file.read_text())["settings"]
        differing = [key for key in own if there.get(key) != own[key]]
        if differing:
            others.append(f"{run.folder} ({', '.join(differing)})")
    if others:
        raise RunFailed(
            f"{'; '.join(others)}: made with other settings or another base model (see plan.json there). "
            "Give another --output, or remove them."
        )


def fingerprint(model: str) -> str:
    """Tells one model from the next; of a hub id its name.

    Raises:
        RunFailed: if there is no such model.
    """
    try:
        return str(describe(resolve(model))["fingerprint"])
    except ModelError as error:
        raise RunFailed(str(error)) from None


def provenance() -> dict[str, Any]:
    """The commit and the machine."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True)
        commit = ended.stdout.strip() or "none: not a git repository"
    except FileNotFoundError:
        commit = "unknown: git is not installed"
    memory = machine.total_memory() / 2**30
    return {"commit": commit, "machine": f"{machine.cores()} cores, {platform.machine()}, {memory:.0f} GiB"}


@dataclass(frozen=True)
class Asked:
    """What models are asked, and where their samples go: ``folder/NAME/step_N/DATASET.jsonl``."""

    folder: Path
    datasets: dict[str, str]
    questions: int | None
    samples: int
    split: str
    steps: tuple[int, ...]  # the checkpoints that answer

    def files(self, name: str, step: int) -> dict[str, Path]:
        """Data set -> the samples of a run's checkpoint; the base model is ``base``, step 0."""
        at = self.folder / name / f"step_{step}"
        return {dataset: samples_file(at, path, self.split) for dataset, path in self.datasets.items()}

    def done(self, name: str, step: int) -> Path:
        """A file that is there when the evaluation is complete, and says what it was made of."""
        return self.folder / name / f"step_{step}" / "evaluation.json"


def asked_of(spec: Spec) -> Asked:
    """The evaluation of the study."""
    asked = spec.evaluation
    folder = Path(spec.output) / f"evaluation-{asked.questions or 'all'}x{asked.samples}"
    steps = tuple(dict.fromkeys([*(asked.checkpoints or spec.training.checkpoints), spec.training.steps]))
    return Asked(folder, asked.datasets, asked.questions, asked.samples, asked.split, steps)


def tuning_of(spec: Spec) -> Asked:
    """The questions of the tuning split.

    Raises:
        RunFailed: if the specification has none.
    """
    if spec.tuning is None:
        raise RunFailed("the specification has no part tuning")
    tuning = spec.tuning
    folder = Path(spec.output) / f"tuning-{tuning.questions}x{tuning.samples}"
    steps = (spec.training.steps,)
    return Asked(folder, {"tuning": tuning.dataset}, tuning.questions, tuning.samples, spec.evaluation.split, steps)


def too_few_questions(spec: Spec, tuning: bool) -> Iterator[str]:
    """One line if the data set of the claims, or with ``tuning`` that one's, has not as many questions as the page would say.

    Looks at a local file that is there; of a hub data set, or one that is still to be made, nothing is said.
    """
    for asked in [asked_of(spec), *([tuning_of(spec)] if tuning else [])]:
        path = next(iter(asked.datasets.values()))
        if asked.questions is None or not Path(path).is_file():
            continue
        try:
            there = len(read_questions(path))
        except DataError as error:
            yield str(error)
            continue
        if there < asked.questions:
            yield f"{path} holds {there} questions, and {asked.questions} are to be asked: lower the number, or make more"
