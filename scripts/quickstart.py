"""``make quickstart``: make a tiny model, train it on the real engine, compare pass@k before and after.

    METHOD=psr|nsr|w_reinforce|grpo|ppo make quickstart        (default: nsr)

Everything that a run of the 7B models does happens here too, smaller: Ray, an FSDP2 actor, vLLM rollouts, checkpoints, and an
evaluation with many samples a question. Written to ``runs/quickstart-METHOD-TIME``.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from passk import metrics
from passk.estimate import Estimate
from passk.report import write_report
from passk.tally import tally

ROOT = Path(__file__).resolve().parent.parent
STEPS = 16
METHODS = {
    "psr": ("run_tiny_psr_nsr.sh", ["algorithm.advantage=positive"]),
    "nsr": ("run_tiny_psr_nsr.sh", ["algorithm.advantage=negative"]),
    "w_reinforce": ("run_tiny_psr_nsr.sh", ["algorithm.advantage=weighted"]),
    "grpo": ("run_tiny_grpo.sh", []),
    "ppo": ("run_tiny_ppo.sh", []),
}
EVALUATED_QUESTIONS = 128
SAMPLES_PER_QUESTION = 64
MODEL, TEST = Path("data/tiny/model"), Path("data/tiny/test.parquet")

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
        subprocess.run([sys.executable, "-m", "rlvr.tiny"], check=True)
    with phase(f"2/3  training: {method}, {STEPS} steps (Ray, FSDP2 and vLLM start first, which takes longest)"):
        train(method, run)
    trained = run / f"global_step_{STEPS}" / "actor" / "huggingface"
    with phase(
        f"3/3  evaluation: {EVALUATED_QUESTIONS} held-out questions × {SAMPLES_PER_QUESTION} samples, both models"
    ):
        estimates = evaluate({"base": MODEL, method: trained}, run)

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


def train(method: str, run: Path) -> None:
    """Run the method's launcher; the bar follows ``metrics.jsonl``, the full log goes to ``train.log``."""
    launcher, overrides = METHODS[method]
    command = ["bash", launcher, *overrides, f"trainer.experiment_name={run.name}", "trainer.val_before_train=false"]
    command += [f"trainer.total_training_steps={STEPS}", f"trainer.save_freq={STEPS}", "trainer.test_freq=-1"]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (run / "train.log").open("w") as log, Progress(*columns, console=console) as progress:
        task = progress.add_task("starting the engine", total=STEPS)
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(0.5)
            show(progress, task, run / "metrics.jsonl")
        show(progress, task, run / "metrics.jsonl")
    if process.returncode:
        tail = (run / "train.log").read_text(errors="replace").splitlines()[-30:]
        print("\n".join(tail), file=sys.stderr)
        sys.exit(f"training failed with exit code {process.returncode}; the whole log is {run / 'train.log'}")


def show(progress: Progress, task: TaskID, metrics_file: Path) -> None:
    lines = metrics_file.read_text().splitlines() if metrics_file.is_file() else []
    if lines:
        last = json.loads(lines[-1])
        text = f"accuracy {last['rlvr/accuracy']:.2f}  kept {last['rlvr/kept_count']:.0f}"
        if "actor/entropy" in last:
            text += f"  entropy {last['actor/entropy']:.2f}"
        progress.update(task, completed=last["step"], description=text)


def evaluate(models: dict[str, Path], run: Path) -> list[Estimate]:
    """Sample and grade with every model; one process, because starting Python and vLLM costs more than the sampling."""
    command = [sys.executable, "-m", "passk.generate", f"--datasets={TEST}", "--prompt_template_type=countdown"]
    command += [
        f"--model_name={','.join(f'{name}={path}' for name, path in models.items())}",
        f"--output_dir={run / 'eval'}",
    ]
    command += [f"--num_generation={SAMPLES_PER_QUESTION}", f"--limit={EVALUATED_QUESTIONS}", "--max_tokens=40"]
    command += ["--temperature=1.0", "--dtype=float32"]
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process: one start less
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    subprocess.run(command, check=True, env=environment)
    files = [next((run / "eval" / name).glob("*.jsonl")) for name in models]
    tallies = dict(zip(models, map(tally, files)))
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
    main()
