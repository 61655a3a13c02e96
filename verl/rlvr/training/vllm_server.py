"""verl's vLLM server with one more method: many prompts, n samples each, in one call.

Registered for ``rollout.name=vllm`` in place of upstream's class, of which it is a superset. Deliberately left out: what only
upstream's per-sample ``generate`` handles (images, LoRA adapters, routing replay); :mod:`rlvr.training.rollout` uses
upstream's manager for those.
"""

import argparse
import asyncio
import logging
import os
from typing import Any
from uuid import uuid4

import psutil
import ray
from verl.workers.rollout.utils import get_vision_placeholder_token_ids
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.exceptions import EngineDeadError

from rlvr.training.answers import Generation

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

IN_PROCESS = "uni"  # engine_kwargs.vllm.distributed_executor_backend


class BatchedVLLMServer(vLLMHttpServer):
    """Upstream's server and :meth:`generate_batch`."""

    async def run_server(self, args: argparse.Namespace) -> None:
        """As upstream's, or with the engine in this process: see :mod:`rlvr.cpu.inprocess`."""
        if args.distributed_executor_backend != IN_PROCESS:
            await super().run_server(args)
            return
        from rlvr.cpu.inprocess import InProcessEngine

        self.engine = await InProcessEngine.create(lambda: AsyncEngineArgs.from_cli_args(args).create_engine_config())
        vocabulary = {
            "vocab_size": len(self.model_config.tokenizer),
            "banned_token_ids": get_vision_placeholder_token_ids(self.model_config.processor),
        }
        await self.engine.collective_rpc("monkey_patch_model", kwargs=vocabulary)
        # Nothing listens there; with it, this server's address is its own.
        self._server_port = self._master_port

    async def until_lost(self) -> None:
        """Never returns: whoever waits for it hears of the end of this process (:mod:`rlvr.training.recovery`)."""
        await asyncio.Event().wait()

    async def lives(self) -> None:
        """Comes back at once."""

    def children(self) -> list[tuple[int, float]]:
        """(pid, time of creation) of the engine's processes, which may outlive this one."""
        return [(one.pid, one.create_time()) for one in psutil.Process().children(recursive=True)]

    async def generate_batch(
        self, prompts: list[list[int]], n: int, sampling_params: dict[str, Any], done: list[int] | None = None
    ) -> tuple[int | None, list[list[Generation]]]:
        """``n`` samples of each prompt: one request a prompt, which comes back when all of its samples are done.

        Args:
            prompts: token ids of each prompt.
            n: samples a prompt.
            sampling_params: vLLM's, with ``logprobs`` a bool as upstream's ``generate`` takes it.
            done: of each prompt, how many of its tokens are the beginning of an answer that is to go on; None: of none.

        Returns:
            The version (step) of the weights and, for each prompt, its n generations; while rollouts are stopped, it waits.

        Raises:
            RuntimeError: if vLLM ended a request without saying anything.
        """
        while self._submission_paused:
            await self._resume_event.wait()
        settings = dict(sampling_params)
        settings["logprobs"] = 0 if settings.pop("logprobs", False) else None
        settings.setdefault("repetition_penalty", self.config.get("repetition_penalty", 1.0))
        settings.setdefault("ignore_eos", self.config.get("ignore_eos", False))

        async def one(prompt_ids: list[int], of_answer: int) -> list[Generation]:
            params = SamplingParams(
                n=n,
                max_tokens=max(1, self._response_budget(len(prompt_ids) - of_answer) - of_answer),
                output_kind=RequestOutputKind.FINAL_ONLY,
                detokenize=False,  # the rollout worker decodes
                flat_logprobs=True,  # plain lists: an object a token is most of this server's time
                **settings,
            )
            async for output in self.engine.generate(
                prompt=TokensPrompt(prompt_token_ids=prompt_ids), sampling_params=params, request_id=uuid4().hex
            ):
                if output.finished:
                    return [generation(completion) for completion in output.outputs]
            raise RuntimeError("vLLM ended a request without an answer")

        try:
            version = self.global_steps
            return version, list(await asyncio.gather(*map(one, prompts, done or [0] * len(prompts))))
        except EngineDeadError:  # nothing revives it but a new server
            logger.exception("the engine's process has ended, and this server ends with it")
            os._exit(1)

    def _response_budget(self, prompt_length: int) -> int:
        """Tokens that an answer may have: as upstream's ``generate`` computes it."""
        room = self.config.max_model_len - prompt_length
        if room < 1:
            raise ValueError(
                f"a prompt of {prompt_length} tokens leaves no room in max_model_len={self.config.max_model_len}"
            )
        in_total = self.config.prompt_length + self.config.response_length - prompt_length
        return max(1, min(self.config.response_length, in_total, room))


def generation(completion: Any) -> Generation:
    """One of vLLM's completions, whose log-probs are flat and of the drawn tokens alone.

    Raises:
        ValueError: if the log-probs are of other tokens.
    """
    token_ids, finished = list(completion.token_ids), completion.finish_reason != "abort"
    if completion.logprobs is None:
        return Generation(token_ids, None, finished)
    if completion.logprobs.token_ids != token_ids:
        raise ValueError("vLLM's log-probs are not those of the tokens that it drew, one each")
    return Generation(token_ids, completion.logprobs.logprobs, finished)


class BatchedVLLMReplica(vLLMReplica):
    """Upstream's replica, whose server is ours."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.server_class = ray.remote(BatchedVLLMServer)
