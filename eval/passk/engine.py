"""vLLM behind the four words that sampling needs; the only module of this package that loads it.

An engine answers questions: ``add`` queues one, ``step`` works a little and returns those that are finished, ``unfinished``
says how many are under way. All answers to a question are one request (its prompt is computed once). Deliberately left out: a
seed for each request; vLLM draws those row by row, which costs more than the model, so the engine has one.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from passk.presets import Sampling


@dataclass(frozen=True)
class Generation:
    """One answer."""

    text: str
    tokens: int
    finish_reason: str


@dataclass(frozen=True)
class Answers:
    """All answers to one question, in the order of their generation ids; ``key`` is what ``add`` was given."""

    key: Any
    generations: tuple[Generation, ...]


class Engine(Protocol):
    """What :mod:`passk.sampling` drives."""

    @property
    def unfinished(self) -> int: ...

    def add(self, key: Any, prompt: str) -> None: ...

    def step(self) -> list[Answers]: ...


@dataclass(frozen=True)
class EngineSettings:
    """How to build an engine; small enough to send to another process."""

    model: str
    dtype: str
    sampling: Sampling
    seed: int
    tensor_parallel: int = 1


class VllmEngine:
    """vLLM's own engine loop, without its progress bar and without waiting for a whole batch."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch
        from vllm import LLM, SamplingParams
        from vllm.sampling_params import RequestOutputKind

        # the CPU build neither compiles graphs nor plans its batch by memory
        machine: dict[str, Any] = {} if torch.cuda.is_available() else {"enforce_eager": True, "max_num_seqs": 256}
        self.llm = LLM(
            model=settings.model,
            dtype=settings.dtype,
            seed=settings.seed,
            tensor_parallel_size=settings.tensor_parallel,
            disable_log_stats=True,
            **machine,
        )
        sampling = settings.sampling
        self.params = SamplingParams(
            n=sampling.num_generation,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._engine = self.llm.llm_engine
        self._tokenizer = self.llm.get_tokenizer()
        self._keys: dict[str, Any] = {}
        self._added = 0

    @property
    def unfinished(self) -> int:
        return len(self._keys)

    def add(self, key: Any, prompt: str) -> None:
        request_id = str(self._added)
        self._added += 1
        # the templates spell every special token out, a second <|begin_of_text|> would be wrong
        ids = self._tokenizer.encode(prompt, add_special_tokens=False)
        self._engine.add_request(request_id, {"prompt_token_ids": ids}, self.params.clone())
        self._keys[request_id] = key

    def step(self) -> list[Answers]:
        finished = []
        for output in self._engine.step():
            if output.finished:
                ordered = sorted(output.outputs, key=lambda one: one.index)
                generations = (Generation(one.text, len(one.token_ids), str(one.finish_reason)) for one in ordered)
                finished.append(Answers(self._keys.pop(output.request_id), tuple(generations)))
        return finished


def vllm_engine(settings: EngineSettings) -> Engine:
    """Start vLLM in this process."""
    return VllmEngine(settings)
