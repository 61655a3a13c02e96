"""What :mod:`bench_scale` puts into a run: an engine and a training worker that compute nothing, and meters.

Loaded by verl itself in every process, before plugins (``VERL_USE_EXTERNAL_MODULES=scale_stand_ins``). The rollout server answers
at once with random tokens, and the training engine returns random log-probs; both load the tiny model, which is never run, so
that everything else of a run is as it is. ``BENCH_SCALE`` names the folder where the meters write:

- ``phases.jsonl``: the trainer's phases, and at each change the processor seconds of every process of the run;
- ``messages-PID.jsonl``: every message of TransferQueue, by the process that serialised it.
"""

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import wrapt
from scale_lengths import draw_lengths
from scale_processes import cpu_seconds

FOLDER = Path(os.environ["BENCH_SCALE"])
DRIVER = int(os.environ.get("BENCH_SCALE_DRIVER", os.getpid()))
os.environ["BENCH_SCALE_DRIVER"] = str(DRIVER)  # what the first process that loads this starts inherits it
VOCABULARY, END = range(5, 57), 1  # the tiny model's tokens but special ones, and its end of an answer

# Methods of the trainer -> what the phase is called; inside another phase only the inner one counts.
PHASES = {
    "prepare_step": "prompts",
    "_balance_batch": "balance",
    "_compute_old_log_prob": "old log-probs",
    "_compute_advantage": "advantages",
    "_update_actor": "update",
    "on_step_end": "weight sync",
    "_compute_metrics": "metrics",
}
OF_SAMPLER = {"sample": "selection", "_sample_questions": "rollout", "_read": "selection"}


# ---- stand-ins


@wrapt.when_imported("rlvr.training.vllm_server")
def replace_engine(vllm_server: ModuleType) -> None:
    vllm_server.BatchedVLLMServer.generate_batch = generate_batch


async def generate_batch(
    self: Any, prompts: list[list[int]], n: int, sampling_params: dict[str, Any], done: None = None
) -> tuple[int | None, list[list[Any]]]:
    """Random tokens of the assumed lengths, at once, with log-probs where they are wanted."""
    from rlvr.training.answers import Generation

    draw = np.random.default_rng()
    limit = self.config.response_length

    def answer(length: int) -> Generation:
        tokens = draw.integers(VOCABULARY.start, VOCABULARY.stop, length)
        if length < limit:
            tokens[-1] = END
        log_probs = (-draw.exponential(0.3, length)).tolist() if sampling_params["logprobs"] else None
        return Generation(tokens.tolist(), log_probs)

    lengths = draw_lengths(len(prompts) * n, limit, draw).reshape(len(prompts), n).tolist()
    return self.global_steps, [[answer(length) for length in row] for row in lengths]


@wrapt.when_imported("rlvr.cpu.engine")
def replace_training(engine: ModuleType) -> None:
    engine.CPUEngineWithLMHead.forward_backward_batch = forward_backward_batch
    engine.CPUEngineWithLMHead.optimizer_step = lambda self: 0.0


def forward_backward_batch(
    self: Any, data: Any, loss_function: Callable[..., Any] | None, forward_only: bool = False
) -> dict[str, Any]:
    """Random log-probs and entropies (samples, tokens) in place of a forward pass; nothing in place of an update."""
    if not forward_only:
        return {"model_output": {}, "loss": [0.0], "metrics": {"pg_loss": [0.0]}}
    ids = data["input_ids"]
    values = torch.rand(len(ids.values()))
    outputs = {
        name: torch.nested.nested_tensor_from_jagged(sign * values, ids.offsets())
        for name, sign in (("log_probs", -1), ("entropy", 1))
    }
    return {"model_output": outputs, "loss": [0.0], "metrics": {}}


# ---- meters


class Phases:
    """The trainer's phases: one line at each change."""

    def __init__(self, file: Path):
        self.file = file
        self.stack: list[str] = []
        self.step = 0

    def followed(self, method: Callable[..., Any], phase: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if phase == PHASES["prepare_step"]:
                self.step += 1
            self.stack.append(phase)
            self.write()
            try:
                return method(*args, **kwargs)
            finally:
                self.stack.pop()
                self.write()

        return call

    def write(self) -> None:
        phase = self.stack[-1] if self.stack else "between"
        line = {"time": time.time(), "step": self.step, "phase": phase, "cpu": cpu_seconds(DRIVER)}
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


phases = Phases(FOLDER / "phases.jsonl")


@wrapt.when_imported("rlvr.training.trainer")
def follow_trainer(trainer: ModuleType) -> None:
    for method, phase in PHASES.items():
        followed = phases.followed(getattr(trainer.DecomposedTrainer, method), phase)
        setattr(trainer.DecomposedTrainer, method, followed)


@wrapt.when_imported("rlvr.training.sampler")
def follow_sampler(sampler: ModuleType) -> None:
    for method, phase in OF_SAMPLER.items():
        followed = phases.followed(getattr(sampler.SelectingReplayBuffer, method), phase)
        setattr(sampler.SelectingReplayBuffer, method, followed)


@wrapt.when_imported("transfer_queue.utils.zmq_utils")
def count_messages(zmq_utils: ModuleType) -> None:
    upstream = zmq_utils.ZMQMessage.serialize

    def serialize(self: Any) -> list:
        frames = upstream(self)
        line = {
            "time": time.time(),
            "kind": self.request_type.name,
            "bytes": sum(zmq_utils.frame_nbytes(frame) or 0 for frame in frames),
        }
        with (FOLDER / f"messages-{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return frames

    zmq_utils.ZMQMessage.serialize = serialize
