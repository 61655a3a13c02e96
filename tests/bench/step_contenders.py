"""The contenders of :mod:`bench_step` as commands: verl with this project's managers and with its own, TRL, no framework at all."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rlvr.prompts import chat_template

ROOT = Path(__file__).resolve().parent.parent.parent
TRL_PYTHON = ROOT / ".venv-trl" / "bin" / "python"
LEARNING_RATE = 3e-5
PER_CORE = "-per-core"  # a contender with a training worker and a rollout replica on every core
CONTENDERS = ("ours", f"ours{PER_CORE}", "upstream", f"upstream{PER_CORE}", "trl", "bare")


@dataclass(frozen=True)
class Work:
    """What all contenders work on; every answer has ``response`` tokens, whatever it says."""

    model: str
    data: str
    template: str
    response: int
    made_with: str


WORKS = {
    # 512 questions; train has fewer
    "tiny": Work("data/tiny/model", "data/tiny/tune.parquet", "countdown", 32, "python -m rlvr.tiny"),
    "smollm2-135m": Work(
        "data/smollm2-135m/model", "runs/bench-step/sums.parquet", "smollm2", 45, "scripts/prepare_smollm2"
    ),
}


@dataclass(frozen=True)
class Cell:
    """One run. ``kept`` is the share of samples that the method learns from; None: all, with GRPO. ``samples``: kept as files."""

    contender: str
    prompts: int
    n: int
    steps: int
    round: int
    kept: float | None = None
    likeliest: bool = False
    model: str = "tiny"
    samples: str | None = None

    @property
    def work(self) -> Work:
        return WORKS[self.model]

    @property
    def size(self) -> str:
        return f"{self.prompts}x{self.n}"

    @property
    def name(self) -> str:
        kept = "" if self.kept is None else f"-kept{self.kept:g}"
        kept += "-likeliest" if self.likeliest else ""
        kept += "" if self.samples is None else f"-samples{self.samples}"
        model = "" if self.model == "tiny" else f"{self.model}-"
        return f"{model}{self.size}-{self.contender}{kept}-steps{self.steps}-round{self.round}"


def make_command(cell: Cell, folder: Path, steps: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a run that writes its steps to ``steps``."""
    if cell.contender == "trl":
        return plain(TRL_PYTHON, "tests/bench/trl_step.py", cell, folder, steps)
    if cell.contender == "bare":
        return plain(Path(sys.executable), "tests/bench/bare_step.py", cell, folder, steps)
    return verl(cell, folder, steps)


def verl(cell: Cell, folder: Path, steps: Path) -> tuple[list[str], dict[str, str]]:
    """With this project's managers or upstream's."""
    method = "grpo" if cell.kept is None else "psr_nsr"
    settings = {
        "base_model": cell.model,
        "machine": "cpu",
        "data.train_files": cell.work.data,
        "data.val_files": cell.work.data,
        "data.train_batch_size": cell.prompts,
        "data.max_response_length": cell.work.response,
        "actor_rollout_ref.model.path": cell.work.model,
        "actor_rollout_ref.actor.optim.lr": LEARNING_RATE,
        "actor_rollout_ref.actor.ppo_mini_batch_size": cell.prompts,
        "actor_rollout_ref.actor.entropy_coeff": 0,
        "actor_rollout_ref.actor.use_kl_loss": "false",
        "actor_rollout_ref.rollout.n": cell.n,
        "actor_rollout_ref.rollout.ignore_eos": "true",
        "reward.custom_reward_function.path": "tests/bench/rewards.py",
        "reward.custom_reward_function.name": "share_correct",
        "+reward.custom_reward_function.reward_kwargs.share": 0.5 if cell.kept is None else cell.kept,
        "trainer.logger": "[file]",
        "trainer.total_training_steps": cell.steps,
        "trainer.total_epochs": 1000,
        "trainer.save_freq": -1,
        "trainer.test_freq": -1,
        "trainer.val_before_train": "false",
        "trainer.resume_mode": "disable",
        "trainer.experiment_name": "bench",
        "trainer.default_local_dir": folder / "run",
    }
    if cell.kept is not None:
        settings["algorithm.advantage"] = "positive"
    if cell.samples is not None:
        settings["trainer.samples_per_step"] = cell.samples
    if cell.likeliest:
        settings |= {"actor_rollout_ref.rollout.top_k": 1, "data.shuffle": "false"}
    if cell.contender.endswith(PER_CORE):
        settings["trainer.n_gpus_per_node"] = len(os.sched_getaffinity(0))
    environment = os.environ | {
        "VERL_PLATFORM": "cpu",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VERL_FILE_LOGGER_PATH": str(steps),
    }
    flags = []
    if cell.contender.startswith("upstream"):  # Ray's and vLLM's own processes
        settings["actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend"] = "null"
        flags = ["~hydra.callbacks.forkserver"]
    if cell.contender.removesuffix(PER_CORE) == "upstream":  # its own managers too
        settings |= {
            "trainer.v1.trainer_mode": "sync",
            "trainer.v1.sampler.custom_sampler.path": "null",
            "trainer.v1.sampler.custom_sampler.name": "null",
            "actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla",
            "actor_rollout_ref.rollout.agent.agent_loop_manager_class": "null",
            "actor_rollout_ref.rollout.calculate_log_probs": "true",
            "reward.num_workers": 1,
            "actor_rollout_ref.actor.calculate_entropy": "false",
        }
        environment |= {"VERL_USE_EXTERNAL_MODULES": "plain_verl", "PYTHONPATH": str(Path(__file__).parent)}
    if cell.contender.startswith("ours"):
        environment |= {"TORCH_COMPILE_DISABLE": "1", "RAY_prestart_worker_first_driver": "0"}  # as scripts/env_cpu.sh
    command = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-dir=configs", f"--config-name={method}"]
    return command + [f"{key}={value}" for key, value in settings.items()] + flags, environment


def plain(python: Path, script: str, cell: Cell, folder: Path, steps: Path) -> tuple[list[str], dict[str, str]]:
    description = {
        "model": cell.work.model,
        "data": cell.work.data,
        "template": chat_template(cell.work.template),
        "prompts": cell.prompts,
        "n": cell.n,
        "response": cell.work.response,
        "learning_rate": LEARNING_RATE,
        "steps": cell.steps,
        "log": str(steps),
        "folder": str(folder / "output"),
    }
    (folder / "cell.json").write_text(json.dumps(description))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    return [str(python), script, str(folder / "cell.json")], environment
