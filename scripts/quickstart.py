"""``make quickstart``: make a tiny model, train it on the real engine, compare pass@k before and after.

    METHOD=psr|nsr|w_reinforce|grpo|ppo make quickstart        (default: nsr)

Everything that a run of the 7B models does happens here too, smaller: Ray, an FSDP2 actor, vLLM rollouts, checkpoints, and an
evaluation with many samples a question. Written to ``runs/quickstart-METHOD-TIME``.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tiny_runs import (
    METHODS,
    MODEL,
    ROOT,
    TEMPERATURE,
    TEST,
    TOP_P,
    RunFailed,
    evaluate,
    make_base,
    progress_bar,
    train,
)

from passk import metrics
from passk.estimate import Estimate
from passk.report import write_report
from passk.tally import tally

STEPS = 16
EVALUATED_QUESTIONS = 128
SAMPLES_PER_QUESTION = 64

console = Console()


def main() -> None:
    method = os.environ.get("METHOD", "nsr")
    if method not in METHODS:
        print(f"METHOD={method} is unknown: choose one of {', '.join(METHODS)}", file=sys.stderr)
        sys.exit(2)
    os.chdir(ROOT)
    started = time.monotonic()
    run = Path("runs") / f"quickstart-{method}-{time.strftime('%Y%m%d-%H%M%S')}"
    run.mkdir(parents=True)

    with phase("1/3  the tiny model and its data"):
        make_base()
    title = f"2/3  training: {method}, {STEPS} steps (Ray, FSDP2 and vLLM start first, which takes longest)"
    with phase(title), progress_bar() as progress:
        trained = train(*METHODS[method], run, STEPS, progress)
    with phase(
        f"3/3  evaluation: {EVALUATED_QUESTIONS} held-out questions × {SAMPLES_PER_QUESTION} samples, both models"
    ):
        estimates = compare({"base": MODEL, method: trained}, run)

    console.print(table(estimates))
    print("written:")
    for what, path in {
        "trained model (Hugging Face)": trained,
        "checkpoint": run / f"global_step_{STEPS}",
        "plot": run / "report" / "pass_at_k.png",
        "report, with every sampled answer": run / "report" / "report.html",
        "metrics of each step": run / "metrics.jsonl",
        "resolved configuration": run / "config.yaml",
        "graded samples": run / "eval",
        "training log": run / "train.log",
        "base model and data": MODEL.parent,
    }.items():
        print(f"  {what:<36}{path}")
    print(f"total {time.monotonic() - started:.0f} s")


@contextmanager
def phase(title: str) -> Iterator[None]:
    console.rule(title, align="left")
    started = time.monotonic()
    yield
    console.print(f"{time.monotonic() - started:.0f} s", style="dim")


def compare(models: dict[str, Path], run: Path) -> list[Estimate]:
    """Evaluate the models and write the report."""
    files = evaluate(models, TEST, run / "eval", EVALUATED_QUESTIONS, SAMPLES_PER_QUESTION, TEMPERATURE, TOP_P)
    tallies = {name: tally(path) for name, path in files.items()}
    estimates, differences = metrics.evaluate(tallies, ks=None, majority=False)
    write_report(tallies, estimates, differences, run / "report", f"Countdown, held out: after {STEPS} steps")
    return estimates


def table(estimates: list[Estimate]) -> Table:
    base, ks = estimates[0], [*estimates[0].pass_at_k]
    result = Table(title=f"pass@k, % ({base.questions} questions, {base.samples_per_question[1]} samples each)")
    result.add_column("model")
    for k in ks:
        result.add_column(f"@{k}", justify="right")
    for row in estimates:
        result.add_row(row.name, *(f"{100 * row.pass_at_k[k].value:.1f}" for k in ks))
    return result


if __name__ == "__main__":
    try:
        main()
    except RunFailed as failure:
        sys.exit(str(failure))
