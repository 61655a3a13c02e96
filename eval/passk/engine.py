"""vLLM behind the few words that sampling needs; the only module of this package that loads it.

An engine answers requests: ``add`` queues one, ``step`` works a little and returns those that are finished, ``unfinished``
says how many are under way. Answers to a question that are asked for together are one request; its prompt is computed once, up to
its last whole block of the cache. Deliberately left out: a seed for each request; vLLM draws those row by row, which costs more
than the model, so the engine has one.

On a CPU the engine computes in float32, in this process, with a KV cache out of the memory that is free
(:mod:`rlvr.cpu.worker`).
"""

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from passk.presets import Sampling
from rlvr import machine
from rlvr.launch import concurrency

GIB = 2**30
# What vLLM reads when it is imported, where the user has not set it. On a CPU one process instead of three starts sooner and sends
# no token through queues, compiling two small functions takes longer than they do, and its warnings are about these settings.
GPU_ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "WARNING"}
CPU_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "TORCH_COMPILE_DISABLE": "1",
}
# The CPU build neither compiles graphs nor plans its batch by memory. Answers share only whole blocks of their prompt: with vLLM's
# default here, 128 tokens, a shorter prompt is computed once for every answer.
CPU_ARGUMENTS = {
    "enforce_eager": True,
    "block_size": 32,
    "worker_cls": "rlvr.cpu.worker.Worker",
    "use_tqdm_on_load": False,
}


@dataclass(frozen=True)
class Generation:
    """One answer."""

    text: str
    tokens: int
    finish_reason: str


class Request(NamedTuple):
    """``samples`` answers to a prompt; ``key`` tells requests apart."""

    key: Any
    prompt: str
    samples: int


@dataclass(frozen=True)
class Answers:
    """All answers to one request, in an order that has nothing to do with what they are; ``key`` is the request's."""

    key: Any
    generations: tuple[Generation, ...]


class Engine(Protocol):
    """What :mod:`passk.sampling` drives.

    ``at_once``: answers that it works on together; ``cache_tokens``: tokens that all of these may have.
    """

    at_once: int
    cache_tokens: int

    @property
    def unfinished(self) -> int:
        """Requests."""

    @property
    def unfinished_samples(self) -> int:
        """Answers of these requests that are not finished."""

    def add(self, request: Request) -> None: ...

    def step(self) -> list[Answers]: ...


@dataclass(frozen=True)
class EngineSettings:
    """How to build an engine; small enough to send to another process."""

    model: str
    dtype: str
    sampling: Sampling
    seed: int
    tensor_parallel: int = 1
    kv_cache_gib: float | None = None  # None: vLLM's share of a GPU; on a CPU what is needed and free


class VllmEngine:
    """vLLM's own engine loop, without its progress bar and without waiting for a whole batch.

    Raises:
        ValueError: if the vLLM of this environment has no device here.
    """

    def __init__(self, settings: EngineSettings) -> None:
        gpu = on_gpu()
        for name, value in (GPU_ENVIRONMENT if gpu else CPU_ENVIRONMENT).items():
            os.environ.setdefault(name, value)
        from vllm import LLM, SamplingParams
        from vllm.platforms import current_platform
        from vllm.sampling_params import RequestOutputKind

        if not current_platform.device_type:
            raise ValueError(
                f"{sys.prefix} has vLLM for a GPU, and this machine has none that it can use: nvidia-smi lists those that are "
                "there; VERL_PLATFORM=cpu takes the environment of the CPU (make install)"
            )
        if not gpu:
            use_allowed_cores()
        self.llm = LLM(
            model=settings.model,
            dtype=settings.dtype,
            seed=settings.seed,
            tensor_parallel_size=settings.tensor_parallel,
            kv_cache_memory_bytes=None if settings.kv_cache_gib is None else int(settings.kv_cache_gib * GIB),
            disable_log_stats=True,
            **({} if gpu else CPU_ARGUMENTS | {"max_num_seqs": answers_at_once(Path(settings.model))}),
        )
        logging.getLogger("vllm").setLevel(
            logging.ERROR
        )  # its warnings were printed; later ones would cut through the bar
        sampling = settings.sampling
        self.params = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._engine = self.llm.llm_engine
        self._tokenizer = self.llm.get_tokenizer()
        config = self._engine.vllm_config
        self.at_once = config.scheduler_config.max_num_seqs
        self.cache_tokens = config.cache_config.num_gpu_blocks * config.cache_config.block_size
        self._keys: dict[str, Any] = {}
        self._added = 0

    @property
    def unfinished(self) -> int:
        return len(self._keys)

    @property
    def unfinished_samples(self) -> int:
        return self._engine.get_num_unfinished_requests()

    def add(self, request: Request) -> None:
        request_id = str(self._added)
        self._added += 1
        # the templates spell every special token out, a second <|begin_of_text|> would be wrong
        ids = self._tokenizer.encode(request.prompt, add_special_tokens=False)
        params = self.params.clone()
        params.n = request.samples
        self._engine.add_request(request_id, {"type": "token", "prompt_token_ids": ids}, params)
        self._keys[request_id] = request.key

    def step(self) -> list[Answers]:
        finished = []
        for output in self._engine.step():
            if output.finished:
                ordered = sorted(output.outputs, key=lambda one: one.index)
                if any(one.finish_reason == "abort" for one in ordered):
                    raise RuntimeError(
                        "vLLM aborted a request: what it had generated is no answer; the same command goes on"
                    )
                generations = (Generation(one.text, len(one.token_ids), str(one.finish_reason)) for one in ordered)
                finished.append(Answers(self._keys.pop(output.request_id), tuple(generations)))
        return finished


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def precision(dtype: str, gpu: bool) -> str:
    """``auto`` is the model's own on a GPU. On a CPU vLLM would make bfloat16 of it, which most CPUs have no instructions for."""
    return "float32" if dtype == "auto" and not gpu else dtype


def use_allowed_cores() -> None:
    """A thread for each core that this process may use: torch counts those of the host where a container has a quota.

    ``OMP_NUM_THREADS`` in the environment is left alone.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(machine.cores())


def answers_at_once(model: Path) -> int:
    """How many answers a CPU works on; ``model`` is a folder, and of a hub id the vocabulary is not looked up."""
    file = model / "config.json"
    fields = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return concurrency.on_cpu(fields.get("vocab_size"))


def vllm_engine(settings: EngineSettings) -> Engine:
    """Start vLLM in this process."""
    return VllmEngine(settings)
