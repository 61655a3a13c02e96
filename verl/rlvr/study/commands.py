"""The two programs that a study is made of, a launcher and ``passk.generate``, run as a person would run them.

Called from the repository's folder. Deliberately left out: what is run, and in which order (:mod:`rlvr.study.runs`,
:mod:`rlvr.study.local`).
"""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import reduce
from pathlib import Path
from threading import Event
from typing import TextIO

import psutil
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from passk.presets import Sampling
from passk.questions import dataset_name
from rlvr.cluster.exit_codes import WORTH_ANOTHER_START

STARTS = 4  # of a run: a study of many hours outlives a lost worker, but not one that is lost every time

stopping = Event()  # no program is started again


class RunFailed(RuntimeError):
    """A launcher or an evaluation ended badly; says how, with the end of its log."""


def progress_bar() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns)


def weights_of(folder: Path, step: int) -> Path:
    """The Hugging Face folder of a run's checkpoint."""
    return folder / f"global_step_{step}" / "actor" / "huggingface"


def stop_on_sigterm() -> None:
    """SIGTERM ends the programs too, as Ctrl-C does, which a terminal sends to all of them. To be called in the main thread."""
    signal.signal(signal.SIGTERM, _stop)


def exit_code_of_interrupt() -> int:
    """After a KeyboardInterrupt."""
    return 128 + (signal.SIGTERM if stopping.is_set() else signal.SIGINT)


def _stop(*_: object) -> None:
    stopping.set()
    for program in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            # A launcher ends when what it runs does.
            for process in program.children() if program.name() == "bash" else [program]:
                process.terminate()
    raise KeyboardInterrupt


def training_command(launcher: str, overrides: Sequence[str], folder: Path, checkpoints: Sequence[int]) -> list[str]:
    """A launcher that trains to the last of ``checkpoints`` and keeps them all; ``overrides`` come last, so they win.

    verl saves after every so many steps and after the last, so some of what it saves may not be among them.
    """
    *others, last = checkpoints
    every = reduce(math.gcd, others, 0) or last
    command = ["bash", launcher, f"trainer.experiment_name={folder.name}", f"trainer.default_local_dir={folder}"]
    command += [f"trainer.total_training_steps={last}", f"trainer.save_freq={every}"]
    command += ["trainer.max_actor_ckpt_to_keep=null", "trainer.val_before_train=false", "trainer.test_freq=-1"]
    return [*command, *overrides]


def train(command: Sequence[str], folder: Path, steps: int, progress: Progress, lock: int | None = None) -> None:
    """Run a launcher; it goes on from a checkpoint that is there, and is run again after an exit that is worth another start.

    A line of ``progress`` follows ``metrics.jsonl`` and is gone at the end; the full log of all starts goes to ``train.log``.
    ``lock`` is the descriptor of the run's lock, which the launcher shares: it is held as long as either lives.

    Raises:
        RunFailed: if training fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.log").open("w") as log:
        for start in range(1, STARTS + 1):
            exit_code = _launch(command, log, folder, steps, progress, lock)
            if exit_code not in WORTH_ANOTHER_START or start == STARTS or stopping.is_set():
                break
            progress.console.print(f"{folder.name}: exit code {exit_code}, started again ({start} of {STARTS - 1})")
    check(exit_code, folder / "train.log", f"training of {folder.name}")


def _launch(command: Sequence[str], log: TextIO, folder: Path, steps: int, progress: Progress, lock: int | None) -> int:
    """The exit code of a start."""
    task = progress.add_task(f"{folder.name}: starting the engine", total=steps)
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock] if lock is not None else ()
    )
    try:
        while process.poll() is None:
            time.sleep(0.5)
            done, text = last_step(folder / "metrics.jsonl")
            progress.update(task, completed=done, description=f"{folder.name}: {text}")
    except KeyboardInterrupt:  # it reached the launcher too, and it has Ray to shut down
        process.wait()
        raise
    progress.remove_task(task)
    return process.returncode


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


def evaluation_command(
    models: Mapping[str, Path | str],
    datasets: Sequence[str],
    folder: Path,
    sampling: Sampling,
    questions: int | None = None,
    split: str = "test",
    num_gpus: int = 1,
) -> list[str]:
    """``passk.generate`` for the first ``questions`` questions of each data set (None: all), every model in ``folder/NAME``."""
    (first, *others) = models
    # It takes names for several models, and gives each a folder of its own.
    named = ",".join(f"{name}={model}" for name, model in models.items()) if others else str(models[first])
    command = [sys.executable, "-m", "passk.generate", f"--datasets={','.join(datasets)}", f"--model_name={named}"]
    command += [f"--output_dir={folder if others else folder / first}", f"--split={split}", f"--num_gpus={num_gpus}"]
    command += [f"--prompt_template_type={sampling.prompt_template_type}", f"--max_tokens={sampling.max_tokens}"]
    command += [f"--temperature={sampling.temperature}", f"--top_p={sampling.top_p}", f"--top_k={sampling.top_k}"]
    command += [f"--num_generation={sampling.num_generation}"]
    return command if questions is None else [*command, f"--limit={questions}"]


def samples_file(folder: Path, dataset: str, split: str) -> Path:
    """Where a model's samples of a data set are, in the folder of the model."""
    return folder / f"{dataset_name(dataset, split)}.jsonl"


def evaluate(command: Sequence[str], log: Path | None = None) -> None:
    """Sample and grade; the same command goes on where a killed one stopped. It prints to ``log`` where one is given.

    Raises:
        RunFailed: if the evaluation fails.
    """
    with nullcontext() if log is None else log.open("w") as output:
        errors = None if log is None else subprocess.STDOUT
        ended = subprocess.run(command, stdout=output, stderr=errors)
    check(ended.returncode, log, "evaluation")


def check(exit_code: int, log: Path | None, what: str) -> None:
    """
    Raises:
        RunFailed: unless the exit code is 0; with the end of the log.
    """
    if not exit_code:
        return
    failure = f"{what} failed with exit code {exit_code}"
    if log is None:  # it has printed what it had to say
        raise RunFailed(failure)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
    raise RunFailed(f"{tail}\n{failure}; the whole log is {log}")
