"""Batched rollouts for single-turn tasks (``actor_rollout_ref.rollout.agent.agent_loop_manager_class``).

Upstream's manager runs one agent loop a sample: a tokenizer call, two load-balancer calls, a request, a reward call and several
writes to TransferQueue for every single sample. Here a prompt is tokenised once, its n samples are one request of vLLM, and
answers are decoded, graded and stored a few prompts at a time while others are still being generated. What is stored has the
same fields, so everything downstream works unchanged.

Falls back to upstream's workers for what needs an agent loop a sample (:mod:`rlvr.training.rollout_mode`). What happens where a
server or a worker dies: :mod:`rlvr.training.recovery`.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Mapping, Set
from typing import Any
from uuid import uuid4

import ray
import torch
import transfer_queue as tq
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from tensordict import NonTensorData, NonTensorStack, TensorDict
from verl.experimental.agent_loop import AgentLoopOutput, AgentLoopWorker
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.utils.profiler import simple_timer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from rlvr.heap import collect_seldom, freeze_heap
from rlvr.training.answers import Answer
from rlvr.training.rollout_mode import ASYNC, TURNS, needs_upstream
from rlvr.training.samples import VERDICT, verdict

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

ATTEMPTS = 2  # of a request: an engine or a grader that failed once need not cost the step its prompts
ASK_AGAIN_S = 1.0  # for a server in place of one that died
NO_SERVER = "No available servers"  # in the load balancer's words
SAMPLES_PER_REQUEST = 64  # enough to make the cost of a call small, few enough that grading overlaps generation


class BatchedRolloutManager(AgentLoopManagerTQ):
    """Upstream's manager with batched workers where the task allows it."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dealt: dict[int, list[TensorDict]] = {}  # worker -> prompts of the rollouts that are under way
        reason = needs_upstream(self.config)
        self.batched = reason is None
        if self.batched:
            self.agent_loop_workers_class = ray.remote(BatchedRolloutWorker)
        else:
            logger.warning("%s: rollouts run sample by sample, with upstream's workers", reason)

    def generate_sequences(self, prompts: TensorDict) -> None:
        """As upstream's; each worker's part is remembered until :meth:`forget_dealt`."""
        if not self.batched:
            super().generate_sequences(prompts)
            return
        parts = prompts.chunk(len(self.agent_loop_workers))
        asked = [
            worker.generate_sequences.remote(part) for worker, part in zip(self.agent_loop_workers, parts, strict=False)
        ]
        for number, (part, answer) in enumerate(zip(parts, asked)):
            self.dealt.setdefault(number, []).append(part)
            with contextlib.suppress(RayActorError):  # the next look finds it, and deals its part again
                ray.get(answer)

    def forget_dealt(self, unfinished: Set[str]) -> None:
        """Parts without an ``unfinished`` prompt."""
        self.dealt = {
            number: [part for part in parts if not unfinished.isdisjoint(uids_of(part))]
            for number, parts in self.dealt.items()
        }

    def start_anew(self, number: int, unfinished: Set[str]) -> None:
        """A worker in place of one that died, with the prompts of its part that are ``unfinished``."""
        node_ids = [one["NodeID"] for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU", 0) > 0]
        node = NodeAffinitySchedulingStrategy(node_id=node_ids[number % len(node_ids)], soft=True)
        worker = self.agent_loop_workers_class.options(
            name=f"agent_loop_worker_{number}_{uuid4().hex[:8]}", scheduling_strategy=node
        ).remote(self.config, self.llm_client, self.teacher_client, self.reward_loop_worker_handles)
        self.agent_loop_workers[number] = worker
        for part in self.dealt.get(number, []):
            rows = [row for row, uid in enumerate(uids_of(part)) if uid in unfinished]
            if rows:
                ray.get(worker.generate_sequences.remote(part[rows]))


class BatchedRolloutWorker(AgentLoopWorker):
    """Generates, grades and stores; a Ray actor, several may share the work."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        tq.init()
        self.tasks: set[asyncio.Task] = set()
        self.goes_on = self.config.trainer.v1.trainer_mode == ASYNC
        self.compute_score = get_custom_reward_fn(self.config)
        self.tokens = create_continuous_token_builder(
            self.tokenizer,
            hf_model_type=self.hf_model_type,
            chat_template_kwargs=self.config.data.get("apply_chat_template_kwargs", {}),
            mm_processor_kwargs=self.mm_processor_kwargs,
            processor=self.processor,
        )
        freeze_heap()
        collect_seldom()

    async def until_lost(self) -> None:
        """Never returns: whoever waits for it hears of the end of this process."""
        await asyncio.Event().wait()

    async def generate_sequences(self, batch: TensorDict) -> None:
        """Start the rollouts of a batch of prompts and return; the trainer waits for them in TransferQueue."""
        prompts = split_rows(batch)
        validate = any([bool(prompt.pop("validate", False)) for prompt in prompts])
        config = self.rollout_config
        source = config.val_kwargs if validate else config
        settings = {
            "temperature": source.temperature,
            "top_p": source.top_p,
            "top_k": source.top_k,
            "repetition_penalty": 1.0,
            "logprobs": config.calculate_log_probs or validate,  # validation reports the entropy
        }
        per_request = max(1, SAMPLES_PER_REQUEST // source.n)
        for start in range(0, len(prompts), per_request):
            task = asyncio.create_task(self._run(prompts[start : start + per_request], source.n, settings, validate))
            self.tasks.add(task)  # asyncio keeps only weak references
            task.add_done_callback(self.tasks.discard)

    async def _run(self, prompts: list[dict], n: int, settings: dict[str, Any], validate: bool) -> None:
        partition = "val" if validate else "train"
        status = "failure"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._generate_grade_and_store(prompts, n, settings, partition, attempt)
                status = "finished"
                break
            # Whatever went wrong is logged; as upstream, the groups are then marked as failed, and the replay buffer decides.
            except Exception:
                names = ", ".join(map(name_of, prompts))
                logger.exception("attempt %d of %d failed to sample %s", attempt, ATTEMPTS, names)
        uids = [prompt["uid"] for prompt in prompts]
        await tq.async_kv_batch_put(keys=uids, tags=[{"status": status} for _ in uids], partition_id=partition)

    async def _generate_grade_and_store(
        self, prompts: list[dict], n: int, settings: dict[str, Any], partition: str, attempt: int
    ) -> None:
        fields, tags = await self._generate_and_grade(prompts, n, settings)
        keys = [f"{row['uid']}_{row['session_id']}_0" for row in fields]
        tags = [tag | {"attempt": attempt} for tag in tags]
        await tq.async_kv_batch_put(
            keys=keys, fields=list_of_dict_to_tensordict(wrap_once(fields)), tags=tags, partition_id=partition
        )

    async def _generate_and_grade(
        self, prompts: list[dict], n: int, settings: dict[str, Any]
    ) -> tuple[list[dict], list[dict]]:
        """(fields, tags) of every sample, in the schema of upstream's workers."""
        timing: dict[str, float] = {}
        prompt_ids = [self._tokenize(prompt) for prompt in prompts]
        with simple_timer("generate", timing):
            answers = await self._answers(prompt_ids, n, settings)

        samples = [(row, session) for row in range(len(prompts)) for session in range(n)]
        responses = [answers[row][session].token_ids[: self.rollout_config.response_length] for row, session in samples]
        with simple_timer("grade", timing):
            texts = await asyncio.to_thread(self.tokenizer.batch_decode, responses, skip_special_tokens=True)
            rewards = await asyncio.gather(*(self._grade(prompts[row], text) for (row, _), text in zip(samples, texts)))

        fields, tags = [], []
        for (row, session), response, (score, extra) in zip(samples, responses, rewards):
            answer = answers[row][session]
            output = AgentLoopOutput(
                prompt_ids=prompt_ids[row],
                response_ids=response,
                response_mask=[1] * len(response),
                response_logprobs=answer.log_probs[: len(response)] if answer.log_probs is not None else None,
                reward_score=score,
                num_turns=TURNS,
                metrics={"generate_sequences": timing["generate"], "compute_score": timing["grade"]},
                extra_fields={
                    "global_steps": answer.last_version,
                    "min_global_steps": answer.first_version,
                    "max_global_steps": answer.last_version,
                    "turn_scores": [],
                    "tool_rewards": [],
                    "reward_extra_info": extra,
                },
            )
            field = output.as_dict() | prompts[row] | {"session_id": session}
            field["loss_mask"] = field["response_mask"]
            field["input_ids"] = torch.cat([field["prompts"], field["responses"]])
            field["position_ids"] = torch.arange(len(field["input_ids"]))
            field["multi_modal_inputs"] = {}
            fields.append(field)
            tags.append(
                {
                    "status": "success",
                    "prompt_len": len(prompt_ids[row]),
                    "response_len": len(response),
                    "seq_len": len(prompt_ids[row]) + len(response),
                    "global_steps": prompts[row]["global_steps"],
                    "min_global_steps": answer.first_version,
                    "max_global_steps": answer.last_version,
                    VERDICT: verdict(score, extra),
                }
            )
        return fields, tags

    def _tokenize(self, prompt: dict) -> list[int]:
        """With upstream's builder, so that a prompt has the ids that upstream's agent loop would give it."""
        ids = self.tokens.build_initial_tokens(list(prompt["raw_prompt"]))
        if len(ids) > self.rollout_config.prompt_length:
            logger.warning("a prompt of %d tokens is cut to data.max_prompt_length from the left", len(ids))
            ids = ids[-self.rollout_config.prompt_length :]
        return ids

    async def _answers(self, prompt_ids: list[list[int]], n: int, settings: dict[str, Any]) -> list[list[Answer]]:
        """n answers of each prompt; what was stopped for a weight sync goes on with the new weights.

        Raises:
            RuntimeError: if one was stopped that must not be.
        """
        version, generations = await self._generate(prompt_ids, n, settings)
        answers = [[Answer.of(one, version) for one in row] for row in generations]
        while under_way := [(ids, one) for ids, row in zip(prompt_ids, answers) for one in row if not one.finished]:
            if not self.goes_on:
                raise RuntimeError("vLLM aborted a request: what it had generated is no answer")
            prompts = [ids + one.token_ids for ids, one in under_way]
            version, more = await self._generate(prompts, 1, settings, [len(one.token_ids) for _, one in under_way])
            for (_, one), (generation,) in zip(under_way, more):
                one.go_on(generation, version)
        return answers

    async def _generate(
        self, prompt_ids: list[list[int]], n: int, settings: dict[str, Any], done: list[int] | None = None
    ) -> Any:
        """One call of the least busy server, through upstream's load balancer.

        A server that dies is no failure of the prompts: another is asked, as soon as there is one. The trainer starts it, or ends
        the run where it cannot.
        """
        while True:
            request_id = uuid4().hex
            try:
                server_id, server = await self.llm_client._acquire_server(
                    request_id, prompt_ids=prompt_ids[0], sampling_params=settings
                )
            except RuntimeError as error:
                if NO_SERVER not in str(error):
                    raise
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            try:
                return await server.generate_batch.remote(prompt_ids, n, settings, done)
            except RayActorError as error:
                logger.warning("a rollout server was lost, its prompts are dealt again: %s", str(error).splitlines()[0])
                await asyncio.sleep(ASK_AGAIN_S)
            finally:
                self.llm_client._release_server(server_id, request_id)

    async def _grade(self, prompt: Mapping[str, Any], text: str) -> tuple[float, dict[str, Any]]:
        """(score, what else the reward function said), called as upstream's naive reward manager calls it."""
        arguments = {
            "data_source": prompt["data_source"],
            "solution_str": text,
            "ground_truth": prompt["reward_model"]["ground_truth"],
            "extra_info": {**(prompt.get("extra_info") or {}), "num_turns": TURNS, "rollout_reward_scores": {}},
        }
        if inspect.iscoroutinefunction(self.compute_score):
            result = await self.compute_score(**arguments)
        else:
            result = await asyncio.to_thread(self.compute_score, **arguments)
        if isinstance(result, Mapping):
            return float(result["score"]), dict(result)
        return float(result), {"acc": float(result)}


def name_of(prompt: Mapping[str, Any]) -> str:
    """Data source and number of a prompt, as the data set has them."""
    return f"{prompt.get('data_source')} {(prompt.get('extra_info') or {}).get('index', '?')}"


def wrap_once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with every value that is no tensor as tensordict wraps it; one wrapper for what several rows share.

    A sample has about fifteen such values and most are its prompt's: wrapping each of them anew was three quarters of a rollout
    worker's time.
    """
    wrappers: dict[int, NonTensorData] = {}

    def wrap(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value
        if id(value) not in wrappers:
            wrappers[id(value)] = NonTensorData(value)
        return wrappers[id(value)]

    return [{name: wrap(value) for name, value in row.items()} for row in rows]


def uids_of(batch: TensorDict) -> list[str]:
    return [row["uid"] for row in split_rows(batch.select("uid"))]


def split_rows(batch: TensorDict) -> list[dict[str, Any]]:
    """One dict of plain values a prompt."""
    columns: dict[str, list[Any]] = {}
    for key, value in batch.items():
        if isinstance(value, NonTensorStack):
            columns[key] = [item.data if isinstance(item, NonTensorData) else item for item in value]
        elif isinstance(value, NonTensorData):
            columns[key] = [value.data] * len(batch)
        else:
            columns[key] = list(value)
    return [dict(zip(columns, values)) for values in zip(*columns.values(), strict=True)]
