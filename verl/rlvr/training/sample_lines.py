"""What goes into a file of samples (:mod:`rlvr.sample_files`): read from TransferQueue, and made into lines.

Of a step's questions the same are chosen every time they are asked. Deliberately left out: threads and files
(:mod:`rlvr.training.recorder`), and computing anything for the file's sake: what the step has not computed is null.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import transfer_queue as tq

from rlvr.sample_files import Sample, question_id
from rlvr.training.samples import Samples, group_of, reward_said
from rlvr.verify.gold import gold_text

Decode = Callable[[torch.Tensor], str]


@dataclass(frozen=True)
class Decided:
    """What the sampler knows of a step's samples; all lists have one entry a sample.

    Attributes:
        kept: whether it stays in the step.
        advantages: of its method; None of an estimator of upstream's, and of questions that were left out.
        dropped: keys that are to leave TransferQueue once they were read.
    """

    step: int
    split: str
    partition: str
    samples: Samples
    kept: Sequence[bool]
    advantages: Sequence[float | None]
    dropped: Sequence[str] = ()


@dataclass(frozen=True)
class Asked:
    """A question, as the data set has it."""

    question_id: str
    question: str
    gold: str


@dataclass(frozen=True)
class Read:
    """What TransferQueue says of the chosen samples, by their place in ``decided``."""

    decided: Decided
    asked: Mapping[str, Asked]  # by group
    responses: Mapping[int, torch.Tensor]
    said: Mapping[int, Mapping[str, Any]]  # what the reward function said
    means: Mapping[str, Mapping[int, float | None]] = field(
        default_factory=dict
    )  # field -> sample -> mean over its tokens


def choose(asked: Mapping[str, Asked], limit: int | None) -> list[str]:
    """Up to ``limit`` groups, by their question's id: the same questions at every step, whatever finished first."""
    return sorted(asked, key=lambda group: (asked[group].question_id, group))[:limit]


# ---- reading


def read_and_clear(decided: Decided, limit: int | None) -> Read:
    """The chosen samples of a training step; the dropped rows are cleared, whatever happens."""
    try:
        asked = read_questions(decided.samples.keys, decided.partition)
        groups = choose(asked, limit)
        return read(decided, {group: asked[group] for group in groups})
    finally:
        if decided.dropped:
            tq.kv_clear(keys=list(decided.dropped), partition_id=decided.partition)


def read_questions(keys: Iterable[str], partition: str) -> dict[str, Asked]:
    """The question of each group, from its first row."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(group_of(key), key)
    fields = ["raw_prompt", "data_source", "reward_model"]
    data = tq.kv_batch_get(keys=list(first.values()), partition_id=partition, select_fields=fields)
    columns = ([getattr(value, "data", value) for value in data[name]] for name in fields)
    return {group: as_asked(*values) for group, *values in zip(first, *columns, strict=True)}


def as_asked(prompt: Any, data_source: str, reward_model: Mapping[str, Any]) -> Asked:
    messages = list(prompt)
    gold = gold_text(reward_model.get("ground_truth"))
    return Asked(question_id(data_source, messages), text_of(messages[-1]), gold)


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says; of a part that is no text, its type."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", f"[{part.get('type')}]")) for part in content)


def read(decided: Decided, asked: Mapping[str, Asked]) -> Read:
    """What TransferQueue has of the samples of the groups in ``asked``."""
    keys = decided.samples.keys
    rows = [row for row, key in enumerate(keys) if group_of(key) in asked]
    data = get(decided, rows, ["responses", "extra_fields", "rollout_log_probs"])
    means = {"log_prob": mean(data, "rollout_log_probs", rows)}
    kept = [row for row in rows if decided.kept[row]]
    if kept:  # what the step computed, of its own samples alone
        own = any(decided.advantages[row] is None for row in kept)  # an estimator of upstream's gives every token one
        computed = get(decided, kept, ["old_log_probs", "entropy", *(["advantages"] if own else [])])
        means["old_log_prob"] = mean(computed, "old_log_probs", kept)
        means["entropy"] = mean(computed, "entropy", kept)
        means["advantage"] = mean(computed, "advantages", kept)
    responses = dict(zip(rows, data["responses"].unbind(), strict=True))
    said = dict(zip(rows, map(reward_said, data["extra_fields"]), strict=True))
    return Read(decided, asked, responses, said, means)


def get(decided: Decided, rows: Sequence[int], names: list[str]) -> Any:
    keys = [decided.samples.keys[row] for row in rows]
    return tq.kv_batch_get(keys=keys, partition_id=decided.partition, select_fields=names)


def mean(data: Any, name: str, rows: Sequence[int]) -> dict[int, float | None]:
    """Of each sample the mean over its tokens, None where there is none; nothing if the field was not computed."""
    if name not in data.keys():  # noqa: SIM118
        return {}
    means = (tokens.float().mean().item() for tokens in data[name].unbind())
    return {row: value if math.isfinite(value) else None for row, value in zip(rows, means, strict=True)}


# ---- making the lines


def build(read: Read, decode: Decode) -> list[Sample]:
    """The samples as they go to the file: by question, group and place in the group."""
    ordered = sorted(read.responses, key=lambda row: order(read.decided.samples.keys[row], read.asked))
    return [as_sample(read, row, decode) for row in ordered]


def order(key: str, asked: Mapping[str, Asked]) -> tuple[str, str, int, int]:
    group, session, index = key.rsplit("_", 2)
    return asked[group].question_id, group, int(session), int(index)


def as_sample(read: Read, row: int, decode: Decode) -> Sample:
    decided, samples = read.decided, read.decided.samples
    said, group = read.said[row], group_of(samples.keys[row])
    asked, response = read.asked[group], read.responses[row]
    found = {name: values.get(row) for name, values in read.means.items()}
    log_prob, advantage = found["log_prob"], decided.advantages[row]
    return Sample(
        step=decided.step,
        split=decided.split,  # type: ignore[arg-type]
        question_id=asked.question_id,
        group=group,
        question=asked.question,
        answer=decode(response),
        extracted=text_or_none(said.get("pred")),
        gold=asked.gold,
        correct=samples.correct[row],
        layer=text_or_none(said.get("layer")),
        kind=samples.kinds[row],
        kept=bool(decided.kept[row]),
        advantage=found.get("advantage") if advantage is None else advantage,
        tokens=len(response),
        finish_reason="length" if samples.truncated[row] else "stop",
        log_prob=found.get("old_log_prob") if log_prob is None else log_prob,
        entropy=found.get("entropy"),
    )


def text_or_none(value: Any) -> str | None:
    """Reward functions of others may say anything, or nothing."""
    return None if value is None or value == "" else str(value)
