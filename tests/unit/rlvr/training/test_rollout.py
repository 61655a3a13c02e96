"""Batched rollouts: what is sent, what falls back to upstream's workers, and how long answers may be. No engine is started."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from ray.exceptions import ActorDiedError
from tensordict import NonTensorData, NonTensorStack, TensorDict
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from vllm.logprobs import FlatLogprobs
from vllm.outputs import CompletionOutput

from rlvr.training import rollout
from rlvr.training.answers import Answer, Generation
from rlvr.training.rollout import BatchedRolloutManager, BatchedRolloutWorker, split_rows, wrap_once
from rlvr.training.rollout_mode import MANAGER, is_batched, needs_upstream
from rlvr.training.vllm_server import BatchedVLLMServer, generation


def config(**changes):
    composed = OmegaConf.create(
        {
            "actor_rollout_ref": {
                "rollout": {
                    "name": "vllm",
                    "multi_turn": {"enable": False},
                    "agent": {"default_agent_loop": "single_turn_agent"},
                    "enable_rollout_routing_replay": False,
                    "full_determinism": False,
                },
                "model": {"lora_rank": 0, "lora": {"rank": 0}, "mtp": {"enable_rollout": False}},
            },
            "reward": {
                "custom_reward_function": {"path": "pkg://rlvr.training.reward"},
                "reward_model": {"enable": False},
                "reward_manager": {"name": "naive"},
            },
            "distillation": {"enabled": False},
        }
    )
    for key, value in changes.items():
        OmegaConf.update(composed, key.replace("__", "."), value)
    return composed


def test_the_manager_of_the_configuration_is_ours():
    assert f"{BatchedRolloutManager.__module__}.{BatchedRolloutManager.__qualname__}" == MANAGER


@pytest.mark.parametrize(
    "first", ["rlvr.training.rollout", "rlvr.training.trainer", "verl.trainer.ppo.v1.agent_loop_tq"]
)
def test_each_can_be_the_first_import_of_a_process(first):
    """verl imports the trainer while it imports the base class of our manager."""
    subprocess.run([sys.executable, "-c", f"import {first}"], check=True, capture_output=True)


def test_single_turn_tasks_are_batched():
    assert needs_upstream(config()) is None
    assert is_batched(config(actor_rollout_ref__rollout__agent__agent_loop_manager_class=MANAGER))
    assert not is_batched(config(actor_rollout_ref__rollout__agent__agent_loop_manager_class="your.own.Manager"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"actor_rollout_ref__rollout__name": "sglang"}, "sglang"),
        ({"actor_rollout_ref__rollout__multi_turn__enable": True}, "multi_turn"),
        ({"actor_rollout_ref__rollout__agent__default_agent_loop": "tool_agent"}, "multi_turn"),
        ({"actor_rollout_ref__model__lora_rank": 8}, "LoRA"),
        ({"reward__custom_reward_function__path": None}, "reward function"),
        ({"reward__reward_model__enable": True}, "reward model"),
        ({"reward__reward_manager__name": "dapo"}, "reward manager"),
        ({"actor_rollout_ref__rollout__full_determinism": True}, "determinism"),
    ],
)
def test_what_needs_an_agent_loop_a_sample_goes_to_upstream(change, reason):
    assert reason in needs_upstream(config(**change))


def test_rows_of_a_batch():
    batch = TensorDict(
        {
            "uid": NonTensorStack("a", "b"),
            "reward_model": NonTensorStack({"ground_truth": 1}, {"ground_truth": 2}),
            "dummy_tensor": torch.tensor([[0], [1]], dtype=torch.uint8),
        },
        batch_size=2,
    )
    batch["global_steps"] = NonTensorData(3, batch_size=[2])
    rows = split_rows(batch)
    assert [row["uid"] for row in rows] == ["a", "b"]
    assert [row["reward_model"] for row in rows] == [{"ground_truth": 1}, {"ground_truth": 2}]
    assert [row["global_steps"] for row in rows] == [3, 3]
    assert rows[1]["dummy_tensor"].tolist() == [1]


@pytest.mark.parametrize(
    ("prompt_length", "max_prompt_length", "budget"),
    [
        (4, 16, 40),  # the answer's own limit
        (20, 16, 36),  # what prompt and answer may have together
        (60, 64, 4),  # what the model's context leaves
    ],
)
def test_response_budget(prompt_length, max_prompt_length, budget):
    lengths = SimpleNamespace(max_model_len=64, prompt_length=max_prompt_length, response_length=40)
    server = SimpleNamespace(config=lengths)
    assert BatchedVLLMServer._response_budget(server, prompt_length) == budget


def test_a_prompt_that_fills_the_context_is_an_error():
    server = SimpleNamespace(config=SimpleNamespace(max_model_len=64, prompt_length=64, response_length=40))
    with pytest.raises(ValueError, match="max_model_len=64"):
        BatchedVLLMServer._response_budget(server, 64)


def completion(tokens=(5, 7), finish_reason="stop", logged=(5, 7)):
    """As vLLM makes it with ``flat_logprobs`` and no other log-probs than those of the drawn tokens."""
    flat = FlatLogprobs()
    for token in logged:
        flat.append_fast([token], [-token / 10], [1], [None])
    return CompletionOutput(0, "", list(tokens), None, flat if logged else None, finish_reason=finish_reason)


def test_log_probs_are_those_of_the_sampled_tokens():
    assert generation(completion()) == ([5, 7], [-0.5, -0.7], True)
    assert generation(completion(logged=())) == ([5, 7], None, True)
    assert generation(completion(finish_reason="abort")) == ([5, 7], [-0.5, -0.7], False)
    with pytest.raises(ValueError, match="not those of the tokens"):
        generation(completion(logged=(5, 9)))


def pieces(worker: BatchedRolloutWorker, *served) -> list:
    """Have the server send ``served``, (version, generations), one a call; returns the calls."""
    calls, left = [], iter(served)

    async def generate(*arguments):
        calls.append(arguments)
        return next(left)

    worker._generate = generate
    return calls


def test_an_aborted_request_is_no_answer():
    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker.goes_on = False
    pieces(worker, (3, [[Generation([5], None, finished=False)]]))
    with pytest.raises(RuntimeError, match="aborted"):
        asyncio.run(worker._answers([[1, 2]], 1, {}))


def test_what_was_stopped_goes_on_with_the_next_weights():
    """From the tokens that it has, as often as it is stopped; versions are of the weights that drew tokens."""
    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker.goes_on = True
    nothing = Generation([], None, finished=False)
    calls = pieces(
        worker,
        (3, [[Generation([5, 7], [-0.5, -0.7]), Generation([6], [-0.6], finished=False)], [nothing, nothing]]),
        (3, [[nothing], [nothing], [nothing]]),  # stopped again, before the first token
        (4, [[Generation([8], [-0.8], finished=False)], [Generation([9], [-0.9])], [nothing]]),
        (5, [[Generation([9], [-0.9])], [Generation([9, 9], [-0.1, -0.2])]]),
    )
    answers = asyncio.run(worker._answers([[1, 2], [3]], 2, {"top_p": 1.0}))
    assert answers == [
        [Answer([5, 7], [-0.5, -0.7], True, 3, 3), Answer([6, 8, 9], [-0.6, -0.8, -0.9], True, 3, 5)],
        [Answer([9], [-0.9], True, 4, 4), Answer([9, 9], [-0.1, -0.2], True, 5, 5)],
    ]
    assert calls[0] == ([[1, 2], [3]], 2, {"top_p": 1.0})
    assert calls[2] == ([[1, 2, 6], [3], [3]], 1, {"top_p": 1.0}, [1, 0, 0])
    assert calls[3] == ([[1, 2, 6, 8], [3]], 1, {"top_p": 1.0}, [2, 0])


@pytest.mark.parametrize("kind", ["sync", "async", "number"])
def test_rewards_are_asked_for_as_upstream_does(kind):
    """Synchronous and asynchronous functions; a record or a bare number."""
    seen = {}

    def sync(**arguments):
        seen.update(arguments)
        return 1.0 if kind == "number" else {"score": 1.0, "acc": 1.0, "pred": "3"}

    async def as_async(**arguments):
        return sync(**arguments)

    worker = SimpleNamespace(compute_score=as_async if kind == "async" else sync)
    prompt = {"data_source": "x", "reward_model": {"ground_truth": {"target": "3"}}, "extra_info": {"index": 0}}
    score, extra = asyncio.run(BatchedRolloutWorker._grade(worker, prompt, "text"))
    assert score == 1.0
    assert extra == ({"acc": 1.0} if kind == "number" else {"score": 1.0, "acc": 1.0, "pred": "3"})
    assert seen["solution_str"] == "text" and seen["ground_truth"] == {"target": "3"}
    assert (
        seen["extra_info"]["index"] == 0 and "index" in prompt["extra_info"] and "num_turns" not in prompt["extra_info"]
    )


def test_what_samples_share_is_wrapped_once_and_read_back_as_it_was():
    prompt = {"raw_prompt": [{"role": "user", "content": "q"}], "uid": "a"}
    rows = [prompt | {"session_id": i, "responses": torch.arange(i + 1), "extra": {"acc": float(i)}} for i in range(3)]
    wrapped = wrap_once(rows)
    assert len({id(row["raw_prompt"]) for row in wrapped}) == 1
    assert len({id(row["extra"]) for row in wrapped}) == 3
    stored = list_of_dict_to_tensordict(wrapped)
    plain = list_of_dict_to_tensordict(rows)
    for name in ("raw_prompt", "uid", "session_id", "extra"):
        assert list(stored[name]) == list(plain[name])
    assert all(torch.equal(a, b) for a, b in zip(stored["responses"].unbind(), plain["responses"].unbind()))


@pytest.mark.parametrize(
    ("failures", "status", "stored"), [(0, "finished", [1, 1]), (1, "finished", [2, 2]), (2, "failure", [])]
)
def test_a_request_that_failed_is_made_once_more(monkeypatch, failures, status, stored):
    """The tags say which attempt brought a sample; prompts that failed twice are named and marked."""
    attempts, put, said = [], [], []

    async def generate(prompts, n, settings):
        attempts.append(prompts)
        if len(attempts) <= failures:
            raise RuntimeError("the engine is gone")
        return [{"uid": "a", "session_id": i} for i in range(n)], [{"status": "success"} for _ in range(n)]

    async def store(keys, tags, partition_id, fields=None):
        put.append((keys, tags))

    monkeypatch.setattr(rollout, "tq", SimpleNamespace(async_kv_batch_put=store))
    monkeypatch.setattr(rollout.logger, "exception", lambda text, *values: said.append(text % values))
    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker._generate_and_grade = generate
    prompt = {"uid": "a", "data_source": "math", "extra_info": {"index": 7}}
    asyncio.run(worker._run([prompt], 2, {}, validate=False))
    *samples, (uids, tags) = put
    assert (uids, tags) == (["a"], [{"status": status}])
    assert [tag["attempt"] for _, tags in samples for tag in tags] == stored
    assert said == [f"attempt {attempt} of 2 failed to sample math 7" for attempt in range(1, failures + 1)]


# ---- what dies


def test_prompts_of_a_server_that_died_are_dealt_to_the_next(monkeypatch):
    """However long there is none; it is no attempt of theirs."""
    monkeypatch.setattr(rollout, "ASK_AGAIN_S", 0.001)
    released: list[str] = []

    class Server:
        def __init__(self, name: str):
            self.generate_batch = SimpleNamespace(remote=self._generate)
            self.name = name

        async def _generate(self, prompts, n, settings, done):
            if self.name == "dead":
                raise ActorDiedError()
            return self.name, prompts, n, settings

    answers = iter(["dead", "dead", None, None, "new"])

    async def acquire(request_id, prompt_ids, sampling_params):
        name = next(answers)
        if name is None:
            raise RuntimeError("No available servers in load balancer")
        return name, Server(name)

    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker.llm_client = SimpleNamespace(
        _acquire_server=acquire, _release_server=lambda server_id, request_id: released.append(server_id)
    )
    assert asyncio.run(worker._generate([[1, 2]], 4, {"top_p": 1.0})) == ("new", [[1, 2]], 4, {"top_p": 1.0})
    assert released == ["dead", "dead", "new"]


def test_another_error_of_the_load_balancer_is_a_failure(monkeypatch):
    async def acquire(*_, **__):
        raise RuntimeError("a router of its own")

    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker.llm_client = SimpleNamespace(_acquire_server=acquire)
    with pytest.raises(RuntimeError, match="a router of its own"):
        asyncio.run(worker._generate([[1, 2]], 4, {}))


class Worker:
    """A rollout worker that remembers what it was given, or is dead."""

    def __init__(self, dead: bool = False):
        self.given: list[list[str]] = []
        self.generate_sequences = SimpleNamespace(remote=self._give)
        self.dead = dead

    def _give(self, part):
        if not self.dead:
            self.given.append([row["uid"] for row in split_rows(part)])
        return self

    def answer(self):
        if self.dead:
            raise ActorDiedError()


def test_a_worker_in_place_of_a_dead_one_gets_its_unfinished_prompts(monkeypatch):
    """Of all batches since the rollouts began, the one that it never received included."""
    made: list[Worker] = []

    def make(*_):
        made.append(Worker())
        return made[-1]

    options = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=make))
    nodes = [{"NodeID": "0" * 56, "Alive": True, "Resources": {"CPU": 2.0}}]
    monkeypatch.setattr(rollout, "ray", SimpleNamespace(get=lambda worker: worker.answer(), nodes=lambda: nodes))
    manager = BatchedRolloutManager.__new__(BatchedRolloutManager)
    manager.batched, manager.dealt, manager.agent_loop_workers_class = True, {}, options
    manager.config = manager.llm_client = manager.teacher_client = manager.reward_loop_worker_handles = None
    first, second = Worker(), Worker()
    manager.agent_loop_workers = [first, second]

    def prompts(*uids: str) -> TensorDict:
        stack = NonTensorStack(*[NonTensorData(uid) for uid in uids])
        return TensorDict({"uid": stack, "global_steps": NonTensorData(1)}, batch_size=len(uids))

    manager.generate_sequences(prompts("a", "b", "c", "d"))
    second.dead = True
    manager.generate_sequences(prompts("e", "f"))
    assert (first.given, second.given) == ([["a", "b"], ["e"]], [["c", "d"]])
    manager.start_anew(1, {"b", "d", "f"})
    assert made[0].given == [["d"], ["f"]]
    assert manager.agent_loop_workers == [first, made[0]]
    manager.forget_dealt({"e"})
    manager.start_anew(0, {"a", "e"})
    assert made[1].given == [["e"]], "the part with a has no unfinished prompt left"
