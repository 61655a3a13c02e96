"""The paper in miniature: every method × several seeds on the real engine, evaluated, with a report.

    python scripts/paper.py [--seeds 3] [--quick] [--ablations] [--tune] [--output runs/paper] [key=value …]        (make paper)

Trains PSR, NSR, W-REINFORCE, GRPO and PPO on the tiny model with the same settings, samples held-out questions with the paper's
sampling (temperature 0.6, top-p 0.95), and writes ``OUTPUT/report``. ``--ablations`` trains the λ sweep and drop against mask
instead. ``--quick``: one seed, fewer questions and samples. ``--tune`` asks the questions of the tuning split: settings are chosen
there (``key=value`` goes to every run; give each setting an ``--output`` of its own), never on the held-out ones. A run that is
there is not made again: kill it and start it anew at any time. Deliberately left out: any choice among the runs.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tiny_runs import METHODS, MODEL, ROOT, TEST, TUNE, evaluate, train

from passk.study import BASE, SeedRun, write_study
from passk.tally import tally

STEPS = 30
TEMPERATURE, TOP_P = 0.6, 0.95
QUESTIONS, SAMPLES = 128, 256
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


@dataclass(frozen=True)
class Plan:
    """One training run."""

    method: str
    seed: int
    launcher: str
    overrides: tuple[str, ...]
    folder: Path

    @property
    def trained(self) -> Path:
        return self.folder / f"global_step_{STEPS}" / "actor" / "huggingface"

    @property
    def done(self) -> bool:
        return (self.trained / "model.safetensors").is_file()


def main() -> None:
    arguments = parse()
    os.chdir(ROOT)
    started = time.monotonic()
    seeds = 1 if arguments.quick else arguments.seeds
    questions, samples = (QUICK_QUESTIONS, QUICK_SAMPLES) if arguments.quick else (QUESTIONS, SAMPLES)
    plans = make_plans(ABLATIONS if arguments.ablations else METHODS, seeds, arguments.output, arguments.overrides)

    console.rule("the tiny model and its data", align="left")
    subprocess.run([sys.executable, "-m", "rlvr.tiny"], check=True)
    for number, plan in enumerate(plans, start=1):
        console.rule(f"training {number}/{len(plans)}: {plan.method}, seed {plan.seed}", align="left")
        if plan.done:
            console.print("is there already", style="dim")
            continue
        begun = time.monotonic()
        train(plan.launcher, plan.overrides, plan.folder, STEPS)
        console.print(f"{time.monotonic() - begun:.0f} s", style="dim")

    console.rule(f"evaluation: {len(plans) + 1} models, {questions} questions × {samples} samples", align="left")
    models = {BASE: MODEL} | {plan.folder.name: plan.trained for plan in plans}
    asked = TUNE if arguments.tune else TEST
    folder = arguments.output / f"eval-{asked.stem}-{questions}x{samples}"
    files = evaluate(models, asked, folder, questions, samples, TEMPERATURE, TOP_P)

    methods: dict[str, list[SeedRun]] = {}
    for plan in plans:
        run = SeedRun(plan.seed, tally(files[plan.folder.name]), plan.folder / "metrics.jsonl")
        methods.setdefault(plan.method, []).append(run)
    report = arguments.output / ("report-ablations" if arguments.ablations else "report")
    title = f"Countdown, {asked.stem} questions: after {STEPS} steps, {seeds} seed{'s' if seeds > 1 else ''}"
    lines = write_study(tally(files[BASE]), methods, report, title)
    print("\n".join(["", *lines, "", provenance(), f"report: {report / 'report.html'}"]))
    print(f"total {time.monotonic() - started:.0f} s")


def make_plans(
    methods: dict[str, tuple[str, list[str]]], seeds: int, output: Path, extra: Sequence[str] = ()
) -> list[Plan]:
    """Seed by seed, so that a study that is cut short has whole seeds."""
    plans = []
    for seed in range(1, seeds + 1):
        for method, (launcher, overrides) in methods.items():
            name = method.split(" (")[0].replace("λ = ", "lambda_")
            name = "w_reinforce" if name == "lambda_0.1" else name  # the same run
            plans.append(
                Plan(method, seed, launcher, (*overrides, *extra, f"seed={seed}"), output / f"{name}-seed{seed}")
            )
    return plans


def provenance() -> str:
    """The command, the commit and the machine."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return f"python {' '.join(sys.argv)} · commit {commit} · {os.cpu_count()} cores, {platform.machine()}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, fewer questions and samples")
    parser.add_argument("--ablations", action="store_true", help="the λ sweep and drop against mask")
    parser.add_argument(
        "--tune", action="store_true", help="evaluate on the tuning split instead of the held-out questions"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every training run")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds {arguments.seeds}: give 1 or more")
    return arguments


if __name__ == "__main__":
    main()
