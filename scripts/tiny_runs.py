"""What the quickstart, the paper in miniature and ``make real`` share: train a model by its launchers, evaluate it.

Imported by ``scripts/quickstart.py``, ``scripts/paper.py`` and ``scripts/real.py``; not a command.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parent.parent
TEMPERATURE, TOP_P = 0.6, 0.95  # of the evaluation, as in the paper


@dataclass(frozen=True)
class Base:
    """A base model, the folder with its questions (``train``, ``test`` and ``tune.parquet``), and how they are asked."""

    model: Path
    questions: Path
    template: str
    max_tokens: int

    @property
    def test(self) -> Path:
        return self.questions / "test.parquet"

    @property
    def tune(self) -> Path:
        return self.questions / "tune.parquet"


TINY = Base(Path("data/tiny/model"), Path("data/tiny"), "countdown", 32)

# Method -> (launcher, what it adds)
METHODS = {
    "psr": ("run_tiny_psr_nsr.sh", ["algorithm.advantage=positive"]),
    "nsr": ("run_tiny_psr_nsr.sh", ["algorithm.advantage=negative"]),
    "w_reinforce": ("run_tiny_psr_nsr.sh", ["algorithm.advantage=weighted", "algorithm.positive_advantage_weight=0.1"]),
    "grpo": ("run_tiny_grpo.sh", []),
    "ppo": ("run_tiny_ppo.sh", []),
}


class RunFailed(RuntimeError):
    """A launcher or an evaluation ended badly; says how, with the end of its log."""


def make_base() -> None:
    """Make the tiny model and its data, unless they are there.

    Raises:
        RunFailed: if that fails.
    """
    check(subprocess.run([sys.executable, "-m", "rlvr.tiny"]).returncode, None, "making the tiny model")


def progress_bar() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns)


def train(launcher: str, overrides: Sequence[str], folder: Path, steps: int, progress: Progress) -> Path:
    """Run a launcher for ``steps`` steps and return the trained model's folder; goes on from a checkpoint that is there.

    A line of ``progress`` follows ``metrics.jsonl`` and is gone at the end; the full log goes to ``train.log``.

    Raises:
        RunFailed: if training fails.
    """
    trained = folder / f"global_step_{steps}" / "actor" / "huggingface"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["bash", launcher, f"trainer.experiment_name={folder.name}", f"trainer.default_local_dir={folder}"]
    command += [f"trainer.total_training_steps={steps}", f"trainer.save_freq={steps}"]
    command += ["trainer.val_before_train=false", "trainer.test_freq=-1", *overrides]
    task = progress.add_task(f"{folder.name}: starting the engine", total=steps)
    with (folder / "train.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            while process.poll() is None:
                time.sleep(0.5)
                done, text = last_step(folder / "metrics.jsonl")
                progress.update(task, completed=done, description=f"{folder.name}: {text}")
        except KeyboardInterrupt:  # Ctrl-C reached the launcher too, and it has Ray to shut down
            process.wait()
            raise
    progress.remove_task(task)
    check(process.returncode, folder / "train.log", f"training of {folder.name}")
    return trained


def check(exit_code: int, log: Path | None, what: str) -> None:
    if not exit_code:
        return
    failure = f"{what} failed with exit code {exit_code}"
    if log is None:  # it has printed what it had to say
        raise RunFailed(failure)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
    raise RunFailed(f"{tail}\n{failure}; the whole log is {log}")


def last_step(metrics_file: Path) -> tuple[int, str]:
    """(steps done, the last one in a few words)"""
    lines = metrics_file.read_text().splitlines() if metrics_file.is_file() else []
    last = json.loads(lines[-1]) if lines else {"step": 0}
    if not last["step"]:  # validation before training
        return 0, "starting the engine"
    text = f"accuracy {last['rlvr/accuracy']:.2f}  kept {last['rlvr/kept_count']:.0f}"
    if "actor/entropy" in last:
        text += f"  entropy {last['actor/entropy']:.3f}"
    return last["step"], text


def evaluate(
    base: Base,
    models: Mapping[str, Path],
    asked: Path,
    folder: Path,
    questions: int,
    samples: int,
    temperature: float,
    top_p: float,
    log: Path | None = None,
) -> dict[str, Path]:
    """Sample and grade the first ``questions`` questions of the file ``asked`` with every model.

    In one process, which prints to ``log`` where one is given. Returns the file of samples of every model. The same call goes on
    where a killed one stopped.

    Raises:
        RunFailed: if the evaluation fails.
    """
    several = len(models) > 1  # passk.generate takes names then, and gives each model a folder of its own
    named = [f"{name}={path}" if several else str(path) for name, path in models.items()]
    command = [sys.executable, "-m", "passk.generate", f"--datasets={asked}", f"--prompt_template_type={base.template}"]
    command += [f"--model_name={','.join(named)}", f"--output_dir={folder}"]
    command += [f"--num_generation={samples}", f"--limit={questions}", f"--max_tokens={base.max_tokens}"]
    command += [f"--temperature={temperature}", f"--top_p={top_p}"]
    with nullcontext() if log is None else log.open("w") as output:
        errors = None if log is None else subprocess.STDOUT
        ended = subprocess.run(command, stdout=output, stderr=errors, cwd=ROOT)
    check(ended.returncode, log, "evaluation")
    return {name: next((folder / name if several else folder).glob("*.jsonl")) for name in models}
