"""What the samples of a batch are: question, reward, and of what kind the incorrect ones are; read from TransferQueue.

Our rollout workers write rewards into the tags, which come with the batch; upstream's store them as fields of every sample alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta

from rlvr.incorrect import incorrect_kinds
from rlvr.methods import Batch, make_batch

VERDICT = "verdict"  # the tag that holds a sample's reward and of what the reward function said these
SAID = ("kind", "timeout", "error")


@dataclass(frozen=True)
class Samples:
    """All lists have one entry a sample.

    Attributes:
        keys: ``{question id}_{session}_{index}``.
        tags: what TransferQueue's meta server knows, such as ``response_len``.
        rewards: 0 or 1.
        kinds: what an incorrect sample is; None of a correct one.
        said: what the reward function said, of :data:`SAID`.
        truncated: whether the response was cut at the longest that it may be.
    """

    keys: list[str]
    tags: list[dict[str, Any]]
    rewards: list[float]
    kinds: list[str | None]
    said: list[dict[str, Any]]
    truncated: list[bool]

    @property
    def question_ids(self) -> list[str]:
        return [group_of(key) for key in self.keys]

    @property
    def correct(self) -> list[bool]:
        return [reward == 1 for reward in self.rewards]

    def batch(self, step: int) -> Batch:
        """As methods see them."""
        return make_batch(self.rewards, self.question_ids, step)

    def where(self, mask: torch.Tensor) -> "Samples":
        """Those at which ``mask`` (samples,) is true."""
        rows = mask.nonzero()[:, 0].tolist()
        return replace(self, **{name: [values[row] for row in rows] for name, values in vars(self).items()})

    def __add__(self, others: "Samples") -> "Samples":
        return replace(self, **{name: values + vars(others)[name] for name, values in vars(self).items()})


def group_of(key: str) -> str:
    """Of a sample's key: what the answers to one question, in one step, have in common."""
    return key.rsplit("_", 2)[0]


def read_samples(
    batch: KVBatchMeta, max_response_length: int, stop_tokens: frozenset[int], *, verifiable: bool = True
) -> Samples:
    """The samples of a batch, in its order; with ``verifiable`` a reward must be 0 or 1.

    Raises:
        ValueError: if a reward is neither 0 nor 1, or a reward function names an unknown kind; names the data source.
    """
    in_tags = all(VERDICT in tag for tag in batch.tags)
    said = [tag[VERDICT] for tag in batch.tags] if in_tags else fetch_verdicts(batch)
    rewards = [one["reward"] for one in said]
    for row, reward in enumerate(rewards):
        if verifiable and reward not in (0.0, 1.0):
            named = tq.kv_batch_get(
                keys=[batch.keys[row]], partition_id=batch.partition_id, select_fields=["data_source"]
            )
            source = next(iter(named["data_source"]))
            raise ValueError(f"data source {source!r}: a verifiable reward is 0 or 1, got {reward}")
    truncated = read_truncated(batch, max_response_length, stop_tokens)
    kinds = incorrect_kinds([reward == 1 for reward in rewards], [one.get("kind") for one in said], truncated)
    return Samples(list(batch.keys), list(batch.tags), rewards, kinds, said, truncated)


def verdict(reward: float, said: Mapping[str, Any]) -> dict[str, Any]:
    """What a step needs to know of what a reward function said."""
    return {"reward": reward} | {name: said[name] for name in SAID if name in said}


def fetch_verdicts(batch: KVBatchMeta) -> list[dict[str, Any]]:
    """The :func:`verdict` on each sample, from the fields that upstream's workers store."""
    fields = ["rm_scores", "extra_fields"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    rewards = [row.sum().item() for row in data["rm_scores"].unbind()]
    return [verdict(reward, reward_said(row)) for reward, row in zip(rewards, data["extra_fields"], strict=True)]


def reward_said(extra_fields: Any) -> dict[str, Any]:
    """Everything that the reward function said, from the field ``extra_fields`` of a sample."""
    return getattr(extra_fields, "data", extra_fields).get("reward_extra_info", {})


def read_truncated(batch: KVBatchMeta, max_response_length: int, stop_tokens: frozenset[int]) -> list[bool]:
    """Whether each response was cut: as long as it may be, and its last token ends nothing."""
    full = [key for key, tag in zip(batch.keys, batch.tags) if tag["response_len"] >= max_response_length]
    if not full:
        return [False] * len(batch.keys)
    responses = tq.kv_batch_get(keys=full, partition_id=batch.partition_id, select_fields=["responses"])["responses"]
    cut = {key for key, row in zip(full, responses.unbind()) if int(row[-1]) not in stop_tokens}
    return [key in cut for key in batch.keys]


def stop_tokens(tokenizer: Any, generation_config: Any) -> frozenset[int]:
    """The tokens that end a response: the tokenizer's, and those of the model's generation_config.json."""
    ends = getattr(generation_config, "eos_token_id", None)
    return frozenset(ends if isinstance(ends, Iterable) else {ends} - {None}) | ({tokenizer.eos_token_id} - {None})


def grader_failures(said: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How many answers the grader, not the model, failed on; nothing where the reward function does not say."""
    kinds = ("timeout", "error")
    return {
        f"rlvr/grader_{kind}s": sum(float(one[kind]) for one in said) for kind in kinds if all(kind in s for s in said)
    }
