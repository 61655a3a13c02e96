"""A step's log-probs, advantages and metrics without padding (:mod:`rlvr.training.trainer` calls it where :func:`applies`).

Upstream's trainer pads every response to the longest of the batch. With 8,192 responses of up to 31,744 tokens a float field
then takes 1 GB and an integer one 2, nine tenths of it padding, and about ten of them exist at once. Here all responses lie one
after the other in one row (1, tokens), which upstream's own functions take; what they compute of each sequence is computed here,
from sums over sequences. Names and values are upstream's (tests/unit/rlvr/training/test_flat.py compares them).

TransferQueue keeps every row of every field as an object, so that fetching and storing cost by the row. Each field goes through it
once (:class:`Seen`), what the trainer computes is stored at once, and rewards, which are 0 or 1, come from the tags. Deliberately
left out, because it works on rows: a critic, a KL term in the reward, corrections by rollout log-probs, means over sequences.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.protocol import DataProto
from verl.trainer.ppo.core_algos import agg_loss
from verl.trainer.ppo.metric_utils import compute_data_metrics, compute_throughout_metrics, compute_timing_metrics
from verl.trainer.ppo.rollout_corr_helper import SAFETY_BOUND, compute_offpolicy_metrics
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl.utils.debug.metrics import calculate_debug_metrics

from rlvr.methods.selection import ESTIMATOR
from rlvr.training.advantage import ADVANTAGE, CORRECT, read
from rlvr.training.rollout_mode import TURNS
from rlvr.training.samples import group_of


def applies(config: DictConfig) -> bool:
    """Whether nothing in a step works on rows of tokens."""
    correction = config.algorithm.get("rollout_correction") or {}
    # Experts and speculative decoding have metrics of their own.
    others = ("rollout.moe_load_balance_metrics_interval", "model.mtp.enable_rollout")
    return (
        config.algorithm.adv_estimator in (ESTIMATOR, "grpo")
        and not config.critic.enable
        and not config.algorithm.use_kl_in_reward
        and config.actor_rollout_ref.actor.loss_agg_mode == "token-mean"
        and not any(OmegaConf.select(config.actor_rollout_ref, name) for name in others)
        and not any(correction.get(name) for name in ("bypass_mode", "rollout_is", "rollout_rs"))
    )


class Seen:
    """What a later phase of a step reads again, or its metrics alone; rows are those of ``keys``, in their order.

    Attributes:
        unstored: fields that :func:`store_advantages` puts into TransferQueue with its own; nobody reads them before.

    Args:
        is_batched: whether the rollouts are ours: of one turn, every token of a response the model's own.
    """

    AGAIN = ("response_mask",)

    def __init__(self, batch: KVBatchMeta, is_batched: bool):
        self.keys = list(batch.keys)
        self.fields: dict[str, torch.Tensor] = {}
        if is_batched:
            self.fields |= {"response_mask": full_mask(batch.tags), "num_turns": torch.full((len(batch),), TURNS)}
        self.unstored: dict[str, torch.Tensor] = {}

    def get(self, batch: KVBatchMeta, names: Sequence[str]) -> dict[str, Any]:
        """Fields of ``batch``, of TransferQueue those that were not seen.

        Raises:
            RuntimeError: if the rows are others, or in another order.
        """
        if batch.keys != self.keys:
            raise RuntimeError("the rows of a step changed between its phases")
        found = {name: self.fields[name] for name in names if name in self.fields}
        missing = [name for name in names if name not in found]
        if missing:
            data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=missing)
            found |= {name: data.pop(name) for name in missing}
            self.fields |= {name: found[name] for name in self.AGAIN if name in missing}
        return found


def full_mask(tags: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    """Jagged (samples, response) int64: 1 on every token of a response, 0 on those of rows that fill up the last mini-batch."""
    lengths = torch.tensor([tag["response_len"] for tag in tags])
    counts = torch.tensor([0 if tag.get("is_padding", False) else 1 for tag in tags])
    return torch.nested.nested_tensor_from_jagged(counts.repeat_interleave(lengths), offsets_of(lengths))


# ---- log-probs


def take_old_log_probs(
    batch: KVBatchMeta, seen: Seen, metrics: dict[str, float], with_rollout: bool, with_entropy: bool
) -> None:
    """From the workers' ``log_probs`` and ``entropy`` to those of the responses, in ``seen.unstored``.

    Args:
        metrics: gets ``actor/entropy`` and, ``with_rollout``, how far vLLM's log-probs are from the actor's.
        with_entropy: keep the entropy of the responses, too: somebody reads it.
    """
    fields = ["entropy", "log_probs", "response_mask"] + ["rollout_log_probs"] * with_rollout
    data = seen.get(batch, fields)
    mask = data["response_mask"]
    predicting = predicts_response(data["log_probs"].offsets(), mask)
    old_log_probs, entropy = (
        torch.nested.nested_tensor_from_jagged(data[name].values()[predicting], mask.offsets())
        for name in ("log_probs", "entropy")
    )
    seen.unstored |= {"old_log_probs": old_log_probs} | ({"entropy": entropy} if with_entropy else {})
    metrics["actor/entropy"] = agg_loss(row(entropy), row(mask), "token-mean").item()
    if with_rollout:
        rows = {"old_log_probs": row(old_log_probs), "response_mask": row(mask), "responses": row(mask)}
        rows["rollout_log_probs"] = row(data["rollout_log_probs"])
        metrics.update(calculate_debug_metrics(SimpleNamespace(batch=rows)))
        metrics.update(off_policy_metrics(old_log_probs, data["rollout_log_probs"], mask))


def predicts_response(offsets: torch.Tensor, response_mask: torch.Tensor) -> torch.Tensor:
    """(all tokens,) bool: the states that predict a token of a response, each the one before it.

    Args:
        offsets: (samples + 1,) of prompt and response together.
        response_mask: jagged (samples, response).
    """
    responses = response_mask.offsets().diff()
    counts = torch.stack([offsets.diff() - responses - 1, responses, torch.ones_like(responses)], dim=1)
    return torch.tensor([False, True, False]).repeat(len(responses)).repeat_interleave(counts.flatten())


def off_policy_metrics(old: torch.Tensor, rollout: torch.Tensor, mask: torch.Tensor) -> dict[str, float]:
    """``rollout_corr/…`` as upstream's; all arguments jagged (samples, response)."""
    metrics = compute_offpolicy_metrics(row(old), row(rollout), row(mask))
    counts = sums(mask) + 1e-8
    means_old, means_rollout = sums(old, mask) / counts, sums(rollout, mask) / counts
    difference = means_rollout - means_old
    ratio_sums = ((means_old - means_rollout) * counts).clamp(-SAFETY_BOUND, SAFETY_BOUND)
    metrics |= {
        "training_ppl": (-means_old).exp().mean().item(),
        "training_log_ppl": (-means_old).mean().item(),
        "rollout_ppl": (-means_rollout).exp().mean().item(),
        "rollout_log_ppl": (-means_rollout).mean().item(),
        "log_ppl_diff": difference.mean().item(),
        "log_ppl_abs_diff": difference.abs().mean().item(),
        "log_ppl_diff_max": difference.max().item(),
        "log_ppl_diff_min": difference.min().item(),
        "ppl_ratio": difference.exp().mean().item(),
        "chi2_seq": (2 * ratio_sums).exp().mean().item() - 1,
    }
    return {f"rollout_corr/{name}": value for name, value in metrics.items()}


# ---- advantages


def store_advantages(batch: KVBatchMeta, seen: Seen, config: DictConfig) -> KVBatchMeta:
    """``advantages`` of every token, and what is unstored; go on with the batch that is returned.

    ``returns`` are for the metrics alone. verl gives the reward to the last token of a response.
    """
    mask, rewards = seen.get(batch, ["response_mask"])["response_mask"], read(batch.tags, CORRECT)
    if config.algorithm.adv_estimator == ESTIMATOR:
        advantages, returns = spread(read(batch.tags, ADVANTAGE), mask), spread(rewards, mask)
    else:
        advantages = returns = spread(grpo(batch.keys, rewards, config), mask)
    seen.fields |= {"advantages": advantages, "returns": returns}
    put = TensorDict({**seen.unstored, "advantages": advantages}, batch_size=len(batch))
    seen.unstored = {}
    return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=put)


def grpo(keys: list[str], rewards: torch.Tensor, config: DictConfig) -> torch.Tensor:
    """(samples,) upstream's advantages of rewards (samples,), each a response of one token."""
    column = rewards.unsqueeze(-1)
    data = DataProto.from_dict({"token_level_rewards": column, "response_mask": torch.ones_like(column)})
    data.non_tensor_batch["uid"] = np.array([group_of(key) for key in keys], dtype=object)
    settings = {"config": config.algorithm, "norm_adv_by_std_in_grpo": config.algorithm.norm_adv_by_std_in_grpo}
    return compute_advantage_for_multi_trajectories(data, batch_keys=keys, adv_estimator="grpo", **settings).batch[
        "advantages"
    ][:, 0]


def spread(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """``values`` (samples,) on every token of jagged ``mask`` (samples, response) that counts."""
    tokens = values.float().repeat_interleave(mask.offsets().diff()) * mask.values()
    return torch.nested.nested_tensor_from_jagged(tokens, mask.offsets())


# ---- metrics


def step_metrics(batch: KVBatchMeta, seen: Seen, timing_raw: dict[str, float], n_gpus: int) -> dict[str, float]:
    """Of a step whose advantages are stored, as upstream's; lengths are read from the tags, and no response is fetched."""
    rows = torch.tensor([not tag.get("is_padding", False) for tag in batch.tags])
    real = [tag for tag, is_real in zip(batch.tags, rows) if is_real]
    data = seen.get(batch, ["response_mask", "advantages", "returns", "num_turns"])
    turns = np.array(data.pop("num_turns").tolist(), dtype=np.int32)[rows.numpy()]
    data = {name: of_rows(field, rows) for name, field in data.items()}
    lengths = {name: read(real, name) for name in ("prompt_len", "response_len")}
    rewards = read(real, CORRECT).unsqueeze(-1)
    columns = {
        "token_level_scores": rewards,
        "token_level_rewards": rewards,
        **{name: row(data[name]) for name in ("advantages", "returns", "response_mask")},
        # Only their width is read: the longest of the batch, padding rows too.
        "prompts": torch.empty(0, int(read(batch.tags, "prompt_len").max())),
        "responses": torch.empty(0, int(read(batch.tags, "response_len").max())),
        "prompt_length": lengths["prompt_len"],
        "response_length": lengths["response_len"],
    }
    metrics = compute_data_metrics(SimpleNamespace(batch=columns, non_tensor_batch={"__num_turns__": turns}), False)
    whole = {f"{part}_length": read(batch.tags, f"{part}_len") for part in ("prompt", "response")}
    tokens = [tag["prompt_len"] + tag["response_len"] for tag in batch.tags]
    everything = SimpleNamespace(batch=whole, meta_info={"global_token_num": tokens})
    metrics |= compute_timing_metrics(everything, timing_raw)
    metrics |= compute_throughout_metrics(everything, timing_raw, n_gpus)
    metrics |= over_samples("training/num_turns", turns)
    return metrics


def staleness(tags: Sequence[Mapping[str, Any]], step: int) -> dict[str, float]:
    """How many versions of the weights a sample was made with, and how far they lie behind; of rows that are no padding."""
    real = [tag for tag in tags if not tag.get("is_padding", False)]
    first, last = (np.array([tag[f"{name}_global_steps"] for tag in real], dtype=int) for name in ("min", "max"))
    metrics = over_samples("training/off_policy/trajectory_spans", last - first + 1)
    metrics |= over_samples("training/off_policy/trajectory_staleness", step - 1 - last)
    return metrics | over_samples("training/off_policy/trajectory_staleness_worst", step - 1 - first)


def over_samples(name: str, values: np.ndarray) -> dict[str, float]:
    return {f"{name}/mean": values.mean(), f"{name}/max": values.max(), f"{name}/min": values.min()}


# ---- one row, and sums over sequences


def row(field: torch.Tensor) -> torch.Tensor:
    """Jagged (samples, tokens) as (1, all tokens); nothing is copied."""
    return field.values().unsqueeze(0)


def of_rows(field: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Jagged (samples, tokens) of the samples that ``rows``, (samples,) bool, says."""
    if bool(rows.all()):
        return field
    lengths = field.offsets().diff()
    kept = field.values()[rows.repeat_interleave(lengths)]
    return torch.nested.nested_tensor_from_jagged(kept, offsets_of(lengths[rows]))


def offsets_of(lengths: torch.Tensor) -> torch.Tensor:
    """(samples + 1,) where each of the rows with these lengths, (samples,), begins, and the last one ends."""
    return torch.cat([torch.zeros(1, dtype=lengths.dtype), lengths.cumsum(0)])


def sums(field: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(samples,) float64 of a jagged field (samples, tokens), of the tokens that count."""
    values = field.values() if mask is None else field.values() * mask.values()
    return torch.segment_reduce(values.double(), "sum", offsets=field.offsets(), initial=0)
