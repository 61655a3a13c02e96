"""A sampler whose TransferQueue is a dict, and whose rollouts are given."""

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorData
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from rlvr.training import advantage, sample_lines, sampler, samples
from rlvr.training.sampler import SelectingReplayBuffer
from rlvr.training.samples import VERDICT, reward_said, verdict

END, LIMIT = 9, 4


class Queue:
    """Rows by key; what the modules call of ``transfer_queue``."""

    def __init__(self):
        self.rows: dict[str, dict] = {}
        self.tags: dict[str, dict] = {}

    def kv_batch_get(self, keys, partition_id, select_fields):
        rows = [self.rows[key] for key in keys]
        return {name: Column(row[name] for row in rows) for name in select_fields if all(name in row for row in rows)}

    def kv_batch_put(self, keys, partition_id, tags):
        for key, tag in zip(keys, tags, strict=True):
            self.tags.setdefault(key, {}).update(tag)

    def kv_clear(self, keys, partition_id):
        for key in keys:
            del self.rows[key]


class Column(list):
    def unbind(self):
        return self


@pytest.fixture(params=["our rollout workers", "upstream's"])
def make(monkeypatch, request):
    """``make(groups, key=value)``: a sampler to which each call of upstream's ``sample`` brings the next of ``groups``."""

    def make(*groups, **settings):
        queue = Queue()
        for module in (advantage, sample_lines, sampler, samples):
            monkeypatch.setattr(module, "tq", queue)
        buffer = SelectingReplayBuffer.__new__(SelectingReplayBuffer)
        defaults = {
            "adv_estimator": "psr_nsr",
            "advantage": "negative",
            "positive_advantage_weight": 0.1,
            "method": {"k": None},
            "sample_selection": "drop",
            "zero_variance": None,
            "learn_from_incorrect": ["wrong", "no_answer", "truncated", "unreadable"],
            "filter_groups": {"enable": False, "max_num_gen_batches": 10},
            "max_response_length": LIMIT,
        }
        buffer.sampler_kwargs = OmegaConf.create(defaults | settings)
        buffer.method = sampler.method_of(buffer.sampler_kwargs)
        buffer.stop_tokens = frozenset({END})
        buffer.recorder = None
        buffer.validation_log_probs = []
        buffer.asked, buffer.queue = [], queue
        buffer.refill_fn = buffer.asked.append
        coming = iter(groups)

        def upstream(self, global_steps, partition_id, batch_size):
            keys, tags = [], []
            for _ in range(batch_size):
                question, answers = next(coming)
                for session, answer in enumerate(answers):
                    key = f"{question}_{session}_0"
                    queue.rows[key] = stored = row(question, answer)
                    keys.append(key)
                    tag = {"response_len": len(stored["responses"])}
                    if request.param == "our rollout workers":
                        tag[VERDICT] = verdict(stored["rm_scores"].sum().item(), reward_said(stored["extra_fields"]))
                    tags.append(tag)
            return KVBatchMeta(keys, tags, partition_id), {}

        monkeypatch.setattr(ReplayBuffer, "sample", upstream)
        return buffer

    return make


def row(question, answer) -> dict:
    """A reward or the word of a kind; ``cut`` is as long as it may be, ``full`` too, but it ends."""
    said = {"timeout": float(answer == "grader_failed"), "error": 0.0}
    if answer in ("no_answer", "unreadable", "grader_failed"):
        said["kind"] = answer
    responses = {"cut": [1, 1, 1, 1], "full": [1, 1, 1, END]}.get(answer, [1, END])
    reward = torch.zeros(len(responses))
    reward[-1] = 0.0 if isinstance(answer, str) else answer
    return {
        "rm_scores": reward,
        "data_source": "a source",
        "raw_prompt": NonTensorData([{"role": "user", "content": f"what is {question}?"}]),
        "reward_model": NonTensorData({"ground_truth": f"gold {question}"}),
        "extra_fields": NonTensorData({"reward_extra_info": said}),
        "responses": torch.tensor(responses),
    }
