"""Train and answer on this machine, several runs at a time; what is there is not made again.

A study may be killed and started anew at any moment. Two programs never work on one run: a lock in its folder, which a launcher
shares with the study that started it, refuses the second. Deliberately left out: several machines (:mod:`rlvr.study.cluster`).
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event

from rich.progress import Progress

from passk.presets import Sampling
from passk.storage import write_atomically
from rlvr import machine
from rlvr.study import commands
from rlvr.study.commands import RunFailed, progress_bar, weights_of
from rlvr.study.runs import BASE, Asked, Run, fingerprint, has_weights

Job = tuple[str, Callable[[Progress], None]]  # what is said of it, what it does


def run_all(jobs: Sequence[Job], at_once: int) -> None:
    """Do the jobs, ``at_once`` at a time, in their order.

    After a failure or Ctrl-C those under way are finished (Ctrl-C ends them too) and no other is begun.

    Raises:
        RunFailed: the first failure.
    """
    # Threads that wait for a descheduled one: two evaluations of two threads each on two cores took six times as long as one.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.cores() // at_once)))
    stopped = Event()
    with progress_bar() as progress, ThreadPoolExecutor(at_once) as pool:
        overall = progress.add_task("all", total=len(jobs))

        def do(name: str, job: Callable[[Progress], None]) -> None:
            if stopped.is_set():
                return
            try:
                job(progress)
            except BaseException:  # whatever ended it, no other is begun; it is raised again
                stopped.set()
                raise
            progress.advance(overall)

        futures = [pool.submit(do, *job) for job in jobs]
        try:
            for one in futures:
                one.result()
        finally:
            stopped.set()


def jobs_of(runs: Sequence[Run], base_model: str, asked: Asked, sampling: Sampling, num_gpus: int) -> list[Job]:
    """The base's answers, and every run: trained, then its checkpoints' answers."""

    def whole(run: Run, progress: Progress) -> None:
        train(run, progress)
        answer_run(run, asked, sampling, num_gpus, progress)

    jobs: list[Job] = [(BASE, partial(answer_base, base_model, asked, sampling, num_gpus))]
    return [*jobs, *((run.name, partial(whole, run)) for run in runs)]


def answer_base(base_model: str, asked: Asked, sampling: Sampling, num_gpus: int, progress: Progress) -> None:
    """The base model's answers.

    Raises:
        RunFailed: if the model cannot be had, or as :func:`answer`.
    """
    answer(BASE, {0: folder_of(base_model, num_gpus)}, asked, sampling, num_gpus, progress)


def folder_of(model: str, num_gpus: int) -> str:
    """A hub model's folder in the cache, brought there if need be: several GPUs are shared out by the size of its weights.

    Raises:
        RunFailed: if the hub does not give it.
    """
    if num_gpus == 1 or Path(model).is_dir():
        return model
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"])
    except (OSError, ValueError) as error:  # no network, no such model, no access
        raise RunFailed(f"{model} could not be brought from the hub: {' '.join(str(error).split())}") from None


def train(run: Run, progress: Progress) -> None:
    """Train a run, unless that is done; then remove what only a resume would need of its earlier checkpoints.

    Raises:
        RunFailed: if training fails, or another program is at it.
    """
    with locked(run.folder) as lock:
        if not run.trained:
            begun = time.monotonic()
            commands.train(run.command(), run.folder, run.steps, progress, lock)
            progress.console.print(f"{run.name}: trained in {time.monotonic() - begun:.0f} s", style="dim")
        prune(run)


def prune(run: Run) -> None:
    """Leave the Hugging Face folder of the checkpoints that are kept, and all of the last one."""
    for folder in run.folder.glob("global_step_*"):
        step = int(folder.name.rsplit("_", 1)[1])
        if step == run.steps:
            continue
        if step not in run.checkpoints:
            shutil.rmtree(folder)
        elif has_weights(weights_of(run.folder, step)):
            shutil.rmtree(folder / "critic", ignore_errors=True)
            for shard in (folder / "actor").glob("*.pt"):
                shard.unlink()


def answer_run(run: Run, asked: Asked, sampling: Sampling, num_gpus: int, progress: Progress) -> None:
    """The answers of a run's checkpoints.

    Raises:
        RunFailed: if it is not trained, the evaluation fails, or what is there was made with other settings.
    """
    missing = [step for step in asked.steps if not has_weights(weights_of(run.folder, step))]
    if missing:
        raise RunFailed(f"{run.name} has no weights of step {missing[0]} yet: train it first")
    models = {step: str(weights_of(run.folder, step)) for step in asked.steps}
    answer(run.name, models, asked, sampling, num_gpus, progress)


def answer(
    name: str, models: Mapping[int, str], asked: Asked, sampling: Sampling, num_gpus: int, progress: Progress
) -> None:
    """The answers of some checkpoints of a run, in one process; those that are there are not drawn again.

    Raises:
        RunFailed: if the evaluation fails, or what is there was made with other settings or weights.
    """
    own = {step: made_of(model, asked, sampling) for step, model in models.items()}
    for step, settings in own.items():
        done = asked.done(name, step)
        if done.is_file() and json.loads(done.read_text()) != settings:
            raise RunFailed(f"{done.parent}: answers of other weights or settings (see {done.name}); move them away")
    todo = {step: models[step] for step in models if not asked.done(name, step).is_file()}
    if not todo:
        return
    folder = asked.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"evaluation-step_{'_'.join(map(str, todo))}.log"
    command = commands.evaluation_command(
        {f"step_{step}": model for step, model in todo.items()},
        list(asked.datasets.values()),
        folder,
        sampling,
        asked.questions,
        asked.split,
        num_gpus,
    )
    line = progress.add_task(f"{name}: answering", total=None)
    begun = time.monotonic()
    try:
        commands.evaluate(command, log)
    finally:
        progress.remove_task(line)
    for step in todo:
        write_atomically(asked.done(name, step), [json.dumps(own[step], indent=2).encode(), b"\n"])
    checkpoints = f"{len(todo)} checkpoint{'s' if len(todo) > 1 else ''}"
    progress.console.print(f"{name}: {checkpoints} answered in {time.monotonic() - begun:.0f} s", style="dim")


def made_of(model: str, asked: Asked, sampling: Sampling) -> dict:
    """What the answers depend on."""
    questions = {"datasets": asked.datasets, "questions": asked.questions, "split": asked.split}
    return {"model": fingerprint(model), "sampling": asdict(sampling), **questions}


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """One program at a time; yields the lock's descriptor.

    Raises:
        RunFailed: if another one has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFailed(f"{folder}: another program is at work on this run") from None
        yield file.fileno()
