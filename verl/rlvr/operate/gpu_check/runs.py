"""A training run by the launchers' own function, with a random model: what it was given, what it left, and how it is ended."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from rlvr.cluster import nvidia_smi
from rlvr.operate.gpu_check import Context, Load, materials

REPOSITORY = Path(__file__).resolve().parents[4]
MACHINES = ((130, "gpu141"), (75, "gpu80"), (44, "gpu48"), (0, "gpu24"))  # GiB at least
TAIL = 15  # lines of a log that say why
RATE = 1e-3  # so large that weights that were not sent show at once


@dataclass(frozen=True)
class Run:
    """What a run left."""

    folder: Path
    exit_code: int
    seconds: float

    @property
    def metrics(self) -> list[dict[str, Any]]:
        file = self.folder / "metrics.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    @property
    def memory(self) -> Path:
        """Written by :class:`rlvr.operate.gpu_check.recorder.Recorder`."""
        return self.folder / "memory.jsonl"

    def tail(self) -> str:
        return "\n".join((self.folder / "train.log").read_text(errors="replace").splitlines()[-TAIL:])


def machine_of(context: Context) -> str:
    """The file of configs/machine for the memory of this machine's first GPU."""
    if context.device == "cpu":
        return "cpu"
    driver = nvidia_smi.ask()
    gib = driver.gpus[0].memory_total / 1024 if driver and driver.gpus else 0
    return next(name for least, name in MACHINES if gib >= least)


def arguments(context: Context, load: Load, method: str, folder: Path, steps: int, *settings: str) -> list[str]:
    """Of ``verl.trainer.main_ppo``."""
    model, questions = materials.make_model(context, load.shape), materials.make_questions(context, load)
    return [
        f"--config-name={method}",
        "base_model=tiny",
        f"machine={machine_of(context)}",
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={questions}",
        f"data.val_files={questions}",
        "reward.custom_reward_function.path=pkg://rlvr.operate.gpu_check.materials",
        f"data.train_batch_size={load.questions}",
        "data.max_prompt_length=32",
        f"data.max_response_length={load.tokens}",
        f"actor_rollout_ref.rollout.n={load.samples}",
        f"actor_rollout_ref.rollout.max_model_len={32 + load.tokens}",
        "actor_rollout_ref.rollout.calculate_log_probs=true",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={load.mini_batch}",
        f"actor_rollout_ref.actor.optim.lr={RATE}",
        f"trainer.n_gpus_per_node={context.gpus}",
        f"trainer.default_local_dir={folder}",
        f"trainer.experiment_name={folder.name}",
        f"trainer.total_training_steps={steps}",
        "trainer.save_freq=-1",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "+hydra.callbacks.recorder._target_=rlvr.operate.gpu_check.recorder.Recorder",
        f"+hydra.callbacks.recorder.file={folder}/memory.jsonl",
        *settings,
    ]


def launch(words: Sequence[str], folder: Path, until: Callable[[], bool] | None = None) -> Run:
    """Run to the end, or until ``until`` says so: then every process of it is killed as a power cut would."""
    folder.mkdir(parents=True, exist_ok=True)
    program = 'source scripts/launch.sh; launch "$@"'
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    started = time.monotonic()
    with (folder / "train.log").open("a") as log:
        process = subprocess.Popen(
            ["bash", "-c", program, "bash", *words],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while process.poll() is None:
            if until is not None and until():
                kill(process.pid)
            time.sleep(0.2)
    return Run(folder, process.returncode, time.monotonic() - started)


def kill(pid: int) -> None:
    """SIGKILL to a process and everything that it started."""
    parent = psutil.Process(pid)
    for one in [*parent.children(recursive=True), parent]:
        try:
            one.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
