"""The paper in miniature: every method × several seeds on the real engine, evaluated, with a report.

    python scripts/paper.py [--seeds 3] [--quick] [--ablations] [--tune] [--jobs 2] [--output DIR] [key=value …]     (make paper)
    python scripts/paper.py --methods negative,maxrl --output runs/mine      # values of algorithm.advantage instead

Trains PSR, NSR, W-REINFORCE, GRPO and PPO on the tiny model with the same settings, samples held-out questions with the paper's
sampling (temperature 0.6, top-p 0.95), and writes ``OUTPUT/report``. ``--ablations`` trains the λ sweep and drop against mask
instead. ``--quick``: one seed, fewer questions and samples. ``--tune`` asks the questions of the tuning split: settings are chosen
there (``key=value`` goes to every run; give each setting an ``--output`` of its own), never on the held-out ones. A run that is
there is not made again: kill it and start it anew at any time. Deliberately left out: any choice among the runs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event

from rich.console import Console
from rich.progress import Progress
from tiny_runs import (
    METHODS,
    ROOT,
    TEMPERATURE,
    TINY,
    TOP_P,
    Base,
    RunFailed,
    evaluate,
    make_base,
    progress_bar,
    train,
)

from passk.study import BASE, SeedRun, write_study
from passk.tally import tally
from rlvr import machine
from rlvr.methods import METHODS as REGISTRY

STEPS = 30
QUESTIONS, SAMPLES = 256, 256
QUICK_QUESTIONS, QUICK_SAMPLES = 96, 128

PSR_NSR = "run_tiny_psr_nsr.sh"
# λ = 0 under `weighted` keeps every sample, so it is NSR with `mask`; λ = 0.1 is W-REINFORCE.
ABLATIONS = {
    "nsr": METHODS["nsr"],
    "nsr_mask (λ = 0)": (PSR_NSR, ["algorithm.advantage=negative", "algorithm.sample_selection=mask"]),
    **{
        f"λ = {weight}": (PSR_NSR, ["algorithm.advantage=weighted", f"algorithm.positive_advantage_weight={weight}"])
        for weight in (0.05, 0.1, 0.2, 0.5, 1)
    },
    "psr": METHODS["psr"],
    "psr_mask": (PSR_NSR, ["algorithm.advantage=positive", "algorithm.sample_selection=mask"]),
}

console = Console()

Methods = dict[str, tuple[str, list[str]]]  # method -> (launcher, what it adds)


@dataclass(frozen=True)
class Study:
    """What is trained and asked.

    ``validation`` is the number of questions whose answers (temperature 1) give the entropy that the report compares, every
    ``test_freq`` steps: of the tuning split, neither trained on nor held out.
    """

    title: str
    base: Base
    methods: Methods
    steps: int
    validation: int
    test_freq: int = 5

    @property
    def settings(self) -> tuple[str, ...]:
        """For every training run."""
        return (
            "trainer.val_before_train=true",
            f"trainer.test_freq={self.test_freq}",
            f"data.val_files={self.base.tune}",
            f"data.val_max_samples={self.validation}",
        )


@dataclass(frozen=True)
class Plan:
    """One training run."""

    method: str
    seed: int
    launcher: str
    overrides: tuple[str, ...]
    folder: Path
    steps: int

    @property
    def trained(self) -> Path:
        return self.folder / f"global_step_{self.steps}" / "actor" / "huggingface"

    @property
    def done(self) -> bool:
        return (self.trained / "model.safetensors").is_file()


@dataclass(frozen=True)
class Questions:
    """What every model is asked."""

    base: Base
    file: Path
    number: int
    samples: int

    def ask(self, name: str, model: Path, output: Path) -> Path:
        """The file of a model's samples."""
        folder = output / f"eval-{self.file.stem}-{self.number}x{self.samples}" / name
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "evaluation.log"
        files = evaluate(
            self.base, {name: model}, self.file, folder, self.number, self.samples, TEMPERATURE, TOP_P, log
        )
        return files[name]


def main() -> None:
    arguments = parse()
    os.chdir(ROOT)
    methods = arguments.methods or (ABLATIONS if arguments.ablations else METHODS)
    study = Study("Countdown", TINY, methods, arguments.steps, validation=128)
    questions, samples = (QUICK_QUESTIONS, QUICK_SAMPLES) if arguments.quick else (QUESTIONS, SAMPLES)
    asked = Questions(
        TINY, TINY.tune if arguments.tune else TINY.test, arguments.questions or questions, arguments.samples or samples
    )
    report = arguments.output / ("report-ablations" if arguments.ablations else "report")
    console.rule("the tiny model and its data", align="left")
    make_base()
    seeds = 1 if arguments.quick else arguments.seeds
    run(study, seeds, asked, arguments.output, report, arguments.jobs, arguments.overrides)


def run(
    study: Study, seeds: int, asked: Questions, output: Path, report: Path, jobs: int, overrides: Sequence[str]
) -> None:
    """Train and evaluate what is missing, and write the report; the base model and its questions are there.

    Raises:
        RunFailed: if a run fails, or what is there was made with other settings.
    """
    # Threads that wait for a descheduled one: two evaluations of two threads each on two cores took six times as long as one.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.cores() // jobs)))
    started = time.monotonic()
    plans = make_plans(study, seeds, output, overrides)
    check_settings(plans, study.base)
    console.rule(
        f"{len(plans)} runs of {study.steps} steps, {jobs} at a time; each then answers {asked.number} questions × {asked.samples}",
        align="left",
    )
    files = run_all(plans, study.base, asked, output, jobs)

    methods: dict[str, list[SeedRun]] = {}
    for plan in plans:
        done = SeedRun(plan.seed, tally(files[plan.folder.name]), plan.folder / "metrics.jsonl")
        methods.setdefault(plan.method, []).append(done)
    title = (
        f"{study.title}, {asked.file.stem} questions: after {study.steps} steps, {seeds} seed{'s' if seeds > 1 else ''}"
    )
    lines = write_study(tally(files[BASE]), methods, report, title)
    print("\n".join(["", *lines, "", provenance(), f"report: {report / 'report.html'}"]))
    print(f"total {time.monotonic() - started:.0f} s")


def make_plans(study: Study, seeds: int, output: Path, extra: Sequence[str] = ()) -> list[Plan]:
    """Seed by seed, so that a study that is cut short has whole seeds."""
    plans = []
    for seed in range(1, seeds + 1):
        for method, (launcher, overrides) in study.methods.items():
            name = method.split(" (")[0].replace("λ = ", "lambda_")
            name = "w_reinforce" if name == "lambda_0.1" else name  # the same run
            settings = (*overrides, *study.settings, *extra, f"seed={seed}")
            plans.append(Plan(method, seed, launcher, settings, output / f"{name}-seed{seed}", study.steps))
    return plans


def check_settings(plans: Sequence[Plan], base_model: Base) -> None:
    """Write down what each run is made of; a run that is there must be made of the same.

    Raises:
        RunFailed: names the runs that are of other settings or another base model.
    """
    base = sha256((base_model.model / "model.safetensors").read_bytes()).hexdigest()
    others = []
    for plan in plans:
        own = {
            "launcher": plan.launcher,
            "sha256": sha256((ROOT / plan.launcher).read_bytes()).hexdigest(),
            "overrides": list(plan.overrides),
            "steps": plan.steps,
            "base_model": base,
        }
        file = plan.folder / "plan.json"
        if not file.is_file():
            plan.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(own, indent=2) + "\n")
        elif json.loads(file.read_text()) != own:
            others.append(str(plan.folder))
    if others:
        raise RunFailed(
            f"{', '.join(others)}: made with other settings or another base model (see plan.json there). "
            "Give another --output, or remove them."
        )


def run_all(plans: Sequence[Plan], base: Base, asked: Questions, output: Path, jobs: int) -> dict[str, Path]:
    """Train and evaluate, ``jobs`` runs at a time; returns the files of samples by the run's name.

    After a failure or Ctrl-C the runs under way are finished (Ctrl-C ends them too) and no other is begun.

    Raises:
        RunFailed: the first failure.
    """
    files: dict[str, Path] = {}
    stopped = Event()
    with progress_bar() as progress, ThreadPoolExecutor(jobs) as pool:
        overall = progress.add_task("all", total=len(plans) + 1)

        def of_base() -> Path:
            return ask(BASE, base.model, asked, output, progress)

        def of_plan(plan: Plan) -> Path:
            if not plan.done:
                begun = time.monotonic()
                train(plan.launcher, plan.overrides, plan.folder, plan.steps, progress)
                progress.console.print(f"{plan.folder.name}: trained in {time.monotonic() - begun:.0f} s", style="dim")
            return ask(plan.folder.name, plan.trained, asked, output, progress)

        def step(name: str, make: Callable[[], Path]) -> None:
            if stopped.is_set():
                return
            try:
                files[name] = make()
            except RunFailed:
                stopped.set()
                raise
            progress.advance(overall)

        steps = [pool.submit(step, BASE, of_base)]
        steps += [pool.submit(step, plan.folder.name, partial(of_plan, plan)) for plan in plans]
        try:
            for one in steps:
                one.result()
        finally:
            stopped.set()
    return files


def ask(name: str, model: Path, asked: Questions, output: Path, progress: Progress) -> Path:
    line = progress.add_task(f"{name}: answering", total=None)
    begun = time.monotonic()
    try:
        return asked.ask(name, model, output)
    finally:
        progress.remove_task(line)
        progress.console.print(f"{name}: answered in {time.monotonic() - begun:.0f} s", style="dim")


def provenance() -> str:
    """The command, the commit and the machine."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return f"python {' '.join(sys.argv)} · commit {commit} · {os.cpu_count()} cores, {platform.machine()}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, fewer questions and samples")
    parser.add_argument(
        "--methods", type=advantages, metavar="NAME,…", help="methods of docs/methods.md, instead of the paper's five"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--questions", type=int, help=f"asked of each model (default: {QUESTIONS})")
    parser.add_argument("--samples", type=int, help=f"answers to each question (default: {SAMPLES})")
    parser.add_argument("--ablations", action="store_true", help="the λ sweep and drop against mask")
    parser.add_argument(
        "--tune", action="store_true", help="evaluate on the tuning split instead of the held-out questions"
    )
    parser.add_argument("--jobs", type=int, default=machine.cores(), help="runs at a time; 3.5 GiB of memory each")
    parser.add_argument("--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every training run")
    arguments = parser.parse_args()
    for name in ("seeds", "jobs", "steps", "questions", "samples"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} {value}: give 1 or more")
    return arguments


def advantages(names: str) -> Methods:
    """The methods that ``--methods`` names, each with its default settings."""
    unknown = [name for name in names.split(",") if name not in REGISTRY]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is no method: choose among {', '.join(REGISTRY)}")
    return {name: (PSR_NSR, [f"algorithm.advantage={name}"]) for name in names.split(",")}


if __name__ == "__main__":
    try:
        main()
    except RunFailed as failure:
        sys.exit(str(failure))
