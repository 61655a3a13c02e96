"""``make quickstart``: make a tiny model, train it on the real engine, compare pass@k before and after.

    METHOD=psr|nsr|w_reinforce|grpo|ppo make quickstart        (default: nsr)

Everything that a run of the 7B models does happens here too, smaller: Ray, an FSDP2 actor, vLLM rollouts, checkpoints, and an
evaluation with many samples a question. Written to ``runs/quickstart-METHOD-TIME``. The first line says what it found of the
machine and how long it expects to take, the last one how long each part took.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from passk import metrics
from passk.estimate import Estimate
from passk.report import write_report
from passk.tally import tally
from passk.watch.folder import open_runs
from passk.watch.html import write_html
from rlvr import machine
from rlvr.study import commands
from rlvr.study.commands import RunFailed, progress_bar, samples_file, weights_of
from rlvr.study.load import load
from rlvr.study.runs import value_text

ROOT = Path(__file__).resolve().parent.parent
STUDY = load(ROOT / "studies" / "tiny.yaml")  # its methods, base model and sampling
METHODS = STUDY.arms["paper"].methods
MODEL, TEST = Path(STUDY.base_model), STUDY.evaluation.datasets["countdown"]

STEPS = 16
EVALUATED_QUESTIONS = 128
SAMPLES_PER_QUESTION = 64
# The same questions now and then, so that the page of the run shows how their answers change.
VALIDATION = ("trainer.val_before_train=true", "trainer.test_freq=8")

# Seconds of each part on two free cores where SAMPLE_JOB takes SAMPLE_SECONDS (an AMD EPYC; the second with torch held to AVX2):
# what `make quickstart` says at its end. Other machines in proportion.
PARTS = {
    "AVX-512": {"model": 66.0, "training": 98.0, "evaluation": 26.0},
    "AVX2": {"model": 69.0, "training": 101.0, "evaluation": 26.0},
}
SAMPLE_JOB = 10**6  # squares to add in Python: much of a short run is Python
SAMPLE_SECONDS = 0.047
CORES_USED = 1.3  # by the parts, on average
GIB = 2**30

console = Console()


def main() -> None:
    method = os.environ.get("METHOD", "nsr")
    if method not in METHODS:
        print(f"METHOD={method} is unknown: choose one of {', '.join(METHODS)}", file=sys.stderr)
        sys.exit(2)
    os.chdir(ROOT)
    commands.stop_on_sigterm()
    print(this_machine(made=(MODEL / "config.json").is_file()), flush=True)
    run = Path("runs") / f"quickstart-{method}-{time.strftime('%Y%m%d-%H%M%S')}"
    run.mkdir(parents=True)

    seconds: dict[str, float] = {}
    with phase("1/3  the tiny model and its data", "model", seconds):
        made = subprocess.run([sys.executable, "-m", "rlvr.tiny"]).returncode
        commands.check(made, None, "making the tiny model")
    title = f"2/3  training: {method}, {STEPS} steps (Ray, FSDP2 and vLLM start first, which takes longest)"
    with phase(title, "training", seconds):
        print(f"once it has begun, follow it: {os.path.relpath(sys.executable)} -m passk.watch {run}")
        with progress_bar() as progress:
            commands.train(training(method, run), run, STEPS, progress)
    trained = weights_of(run, STEPS)
    title = f"3/3  evaluation: {EVALUATED_QUESTIONS} held-out questions × {SAMPLES_PER_QUESTION} samples, both models"
    with phase(title, "evaluation", seconds):
        estimates = compare({"base": MODEL, method: trained}, run)
        for line in write_html(open_runs([run]), run / "watch.html"):
            print(f"watch.html: {line}")

    console.print(table(estimates))
    print("written:")
    for what, path in {
        "page of the run, with its samples": run / "watch.html",
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
    parts = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
    print(f"took {minutes(sum(seconds.values()))}: {parts}")


def this_machine(made: bool) -> str:
    """What there is, and how long the quickstart will take on it; ``made``: the tiny model is there already.

    Waits half a second to see how busy the cores are.
    """
    cores, busy, vectors = machine.cores(), machine.busy_cores(), instructions(Path("/proc/cpuinfo"))
    free, total = machine.free_memory() / GIB, machine.total_memory() / GIB
    expected = expected_seconds(vectors, sample_seconds(), max(0.5, cores - busy), made)
    return (
        f"{cores} cores ({vectors}), {busy:.1f} of them busy with other programs; {free:.1f} of {total:.1f} GiB of memory free. "
        f"Expected: about {minutes(expected)}{'' if made else ', with the tiny model to make first'}"
    )


def instructions(cpuinfo: Path) -> str:
    """The vector instructions that torch will use; ``ATEN_CPU_CAPABILITY`` in the environment may hold it to AVX2."""
    flags = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    held = os.environ.get("ATEN_CPU_CAPABILITY", "avx512") != "avx512"
    return "AVX-512" if "avx512f" in flags and not held else "AVX2"


def sample_seconds() -> float:
    """Seconds of a core for SAMPLE_JOB, without those that other programs had it: the fastest of three."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        sum(number * number for number in range(SAMPLE_JOB))
        taken.append(time.process_time() - started)
    return min(taken)


def expected_seconds(vectors: str, sample: float, free_cores: float, made: bool) -> float:
    """In proportion to the speed of a core, and to the cores that are missing."""
    work = sum(seconds for part, seconds in PARTS[vectors].items() if not (made and part == "model"))
    return work * sample / SAMPLE_SECONDS * max(1.0, CORES_USED / free_cores)


def minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


@contextmanager
def phase(title: str, part: str, seconds: dict[str, float]) -> Iterator[None]:
    """A rule before a part; how long it took goes into ``seconds``."""
    console.rule(title, align="left")
    started = time.monotonic()
    yield
    seconds[part] = time.monotonic() - started
    console.print(f"{seconds[part]:.0f} s", style="dim")


def training(method: str, run: Path) -> list[str]:
    """The launcher of a method, with its settings in the study."""
    own = STUDY.methods[method]
    overrides = [f"{key}={value_text(value)}" for key, value in own.settings.items()]
    overrides += VALIDATION
    return commands.training_command(STUDY.training.launcher.format(config=own.config), overrides, run, (STEPS,))


def compare(models: dict[str, Path], run: Path) -> list[Estimate]:
    """Evaluate the models and write the report."""
    sampling = replace(STUDY.sampling(), num_generation=SAMPLES_PER_QUESTION)
    commands.evaluate(commands.evaluation_command(models, [TEST], run / "eval", sampling, EVALUATED_QUESTIONS))
    tallies = {name: tally(samples_file(run / "eval" / name, TEST, "test")) for name in models}
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
    except KeyboardInterrupt:
        print("\nstopped: `make quickstart` starts again; the tiny model is kept once it is made", file=sys.stderr)
        sys.exit(commands.exit_code_of_interrupt())
