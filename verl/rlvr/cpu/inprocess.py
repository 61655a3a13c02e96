"""vLLM's engine inside the server's own process, with the asynchronous methods that verl's server calls.

Chosen by ``actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend=uni``. Upstream's server starts two more
processes, an engine core and a worker, and sends every prompt, token and log-prob through two queues; for a model on the CPU
that is most of the start and much of a step. This is vLLM's own ``LLMEngine`` in its in-process mode.

One thread owns the engine: requests, steps and weight updates take turns in it, and the server's event loop stays free.
Deliberately left out: the HTTP API (rollouts call the server through Ray), LoRA, several ranks.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.outputs import RequestOutput
from vllm.v1.engine.llm_engine import LLMEngine

T = TypeVar("T")


class InProcessEngine:
    """The part of ``vllm.AsyncLLM`` that rollouts need, without its processes."""

    def __init__(self, engine: LLMEngine, thread: ThreadPoolExecutor):
        self.engine = engine
        self.thread = thread
        self.calls = 0  # that wait for the thread
        self.answers: dict[str, asyncio.Future[RequestOutput]] = {}
        self.stepping: asyncio.Task | None = None
        self.paused = False

    @property
    def output_processor(self) -> Any:
        return self.engine.output_processor

    @classmethod
    async def create(cls, make_config: Callable[[], VllmConfig]) -> "InProcessEngine":
        """``make_config`` runs in the engine's thread, with vLLM's multiprocessing switched off."""

        def make() -> LLMEngine:
            os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
            return LLMEngine.from_vllm_config(make_config(), disable_log_stats=True)

        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vllm")
        engine = await asyncio.get_running_loop().run_in_executor(thread, make)
        return cls(engine, thread)

    async def _call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        self.calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.thread, lambda: function(*args, **kwargs))
        finally:
            self.calls -= 1

    async def generate(
        self, prompt: Any, sampling_params: SamplingParams, request_id: str, lora_request: Any = None, priority: int = 0
    ) -> AsyncIterator[RequestOutput]:
        """Yields the finished output, once.

        Raises:
            whatever vLLM raised while this request was under way.
        """
        answer = asyncio.get_running_loop().create_future()
        self.answers[request_id] = answer
        try:
            await self._call(
                self.engine.add_request,
                request_id,
                prompt,
                sampling_params,
                lora_request=lora_request,
                priority=priority,
            )
            self._step()
            yield await answer
        finally:
            self.answers.pop(request_id, None)

    def _step(self) -> None:
        """Unless it does, or must not."""
        if not self.paused and (self.stepping is None or self.stepping.done()):
            self.stepping = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Step the engine until no request is left."""
        try:
            while not self.paused and self.engine.has_unfinished_requests():
                self._answer(await self._call(self._steps))
        # Nothing above this task would see it: it goes to everyone who waits.
        except Exception as error:  # noqa: BLE001
            for answer in self.answers.values():
                if not answer.done():
                    answer.set_exception(error)

    def _answer(self, outputs: list[RequestOutput]) -> None:
        for output in outputs:
            answer = self.answers.get(output.request_id)
            if answer is not None and not answer.done():
                answer.set_result(output)

    async def pause_generation(self, wait_for_inflight_requests: bool = False, clear_cache: bool = True) -> None:
        """Everybody who waits gets what there is; requests that come from here on wait for :meth:`resume_generation`."""
        self.paused = True
        self._answer(await self._call(self._abort))
        if clear_cache:
            await self.reset_prefix_cache()

    def _abort(self) -> list[RequestOutput]:
        """In the engine's thread. vLLM puts what an aborted request has into the request's queue, if it has one."""
        outputs: list[RequestOutput] = []
        for state in self.engine.output_processor.request_states.values():
            state.queue = SimpleNamespace(put=outputs.append)
        self.engine.abort_request(list(self.answers))
        return outputs

    async def resume_generation(self) -> None:
        self.paused = False
        self._step()

    def _steps(self) -> list[RequestOutput]:
        """In the engine's thread: steps until a request has finished or another call waits for its turn."""
        while True:
            finished = [output for output in self.engine.step() if output.finished]
            if finished or self.calls > 1 or not self.engine.has_unfinished_requests():
                return finished

    async def collective_rpc(
        self, method: str | Callable, timeout: float | None = None, args: tuple = (), kwargs: dict | None = None
    ) -> list[Any]:
        return await self._call(self.engine.collective_rpc, method, timeout, args, kwargs)

    async def reset_prefix_cache(self, reset_running_requests: bool = False, reset_connector: bool = False) -> bool:
        return await self._call(self.engine.reset_prefix_cache, reset_running_requests, reset_connector)

    async def reset_mm_cache(self) -> None:
        await self._call(self.engine.reset_mm_cache)

    async def reset_encoder_cache(self) -> None:
        await self._call(self.engine.reset_encoder_cache)

    async def wait_for_requests_to_drain(self) -> None:
        if self.stepping is not None:
            await self.stepping
