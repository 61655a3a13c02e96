"""verl's replay buffer with sample selection (``trainer.v1.sampler.custom_sampler``).

``sample()`` runs before old log-probs, reference, critic and actor work, so what is dropped here costs nothing more. It also
polls often: upstream's 2 s are longer than a whole step of a small model.
"""

from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from rlvr.methods import selection
from rlvr.methods.scores import is_correct
from rlvr.training.metrics import sample_metrics

POLL_INTERVAL_SECONDS = 0.02
SKIP = "nothing_to_learn_from"


class SelectingReplayBuffer(ReplayBuffer):
    """Keeps the samples that the method learns from and counts what it saw.

    ``sampler_kwargs`` (set by configs/rlvr.yaml from the ``algorithm`` section): ``adv_estimator``, ``advantage``,
    ``sample_selection``.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{"poll_interval": POLL_INTERVAL_SECONDS} | kwargs)
        self.validation_log_probs: list[torch.Tensor] = []

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict]:
        """As upstream's; on the training partition the batch holds only kept samples.

        Where there is nothing to learn from, it holds all of them and ``extra_info[SKIP]`` is set: the trainer skips the step.

        Raises:
            ValueError: if a reward is neither 0 nor 1; names the data source.
        """
        batch, metrics = super().sample(global_steps=global_steps, partition_id=partition_id, batch_size=batch_size)
        if partition_id == "val":
            self.validation_log_probs.append(read_log_probs(batch))
        if partition_id == "val" or not batch.keys:
            return batch, metrics

        algorithm = self.sampler_kwargs
        correct = read_correct(batch)
        effective = selection.effective(correct, algorithm.adv_estimator, algorithm.advantage)
        kept = selection.keep(correct, algorithm.adv_estimator, algorithm.advantage, algorithm.sample_selection)
        skip = not effective.any()
        if skip:
            kept = torch.zeros_like(kept)
        question_ids = [key.rsplit("_", 2)[0] for key in batch.keys]
        metrics.update(sample_metrics(question_ids, correct.tolist(), kept.tolist(), effective.tolist()))
        # Over all samples: `response_length/mean` is of what is kept, and correct answers have other lengths.
        metrics["rlvr/response_length"] = sum(tag["response_len"] for tag in batch.tags) / len(batch.tags)
        metrics.update(read_grader_failures(batch))
        if skip:
            # Nothing would have a gradient. The batch stays whole, because upstream cannot clear an empty one.
            batch.extra_info[SKIP] = True
            return batch, metrics
        dropped = [key for key, keep in zip(batch.keys, kept.tolist()) if not keep]
        if dropped:
            tq.kv_clear(keys=dropped, partition_id=partition_id)
        selected = batch.select_keys([key for key, keep in zip(batch.keys, kept.tolist()) if keep])
        return selected, metrics

    def take_validation_entropy(self) -> float | None:
        """Mean token entropy of the validation samples since the last call; None if the rollouts have no log-probs.

        Estimated by −log p of the sampled tokens, which needs no forward pass; p is what was sampled from, so temperature and
        top-p of validation count.
        """
        tokens = torch.cat(self.validation_log_probs) if self.validation_log_probs else torch.empty(0)
        self.validation_log_probs = []
        return -tokens.mean().item() if tokens.numel() else None


def read_log_probs(batch: KVBatchMeta) -> torch.Tensor:
    """(tokens,) log-probs of all response tokens; empty where rollouts do not compute them."""
    fields = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["rollout_log_probs"])
    rows = fields["rollout_log_probs"].unbind() if "rollout_log_probs" in fields.keys() else []  # noqa: SIM118
    return torch.cat([row.flatten() for row in rows]) if rows else torch.empty(0)


def read_grader_failures(batch: KVBatchMeta) -> dict[str, float]:
    """How many answers the grader, not the model, failed on; nothing where the reward function does not say."""
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
    said = [getattr(row, "data", row).get("reward_extra_info", {}) for row in data["extra_fields"]]
    kinds = ("timeout", "error")
    return {
        f"rlvr/grader_{kind}s": sum(float(one[kind]) for one in said) for kind in kinds if all(kind in s for s in said)
    }


def read_correct(batch: KVBatchMeta) -> torch.Tensor:
    """(samples,) bool from the rewards in TransferQueue."""
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["rm_scores", "data_source"])
    scores = torch.stack([row.sum() for row in data["rm_scores"].unbind()])
    try:
        return is_correct(scores)
    except ValueError as error:
        row = next(i for i, score in enumerate(scores.tolist()) if score not in (0.0, 1.0))
        raise ValueError(f"data source {list(data['data_source'])[row]!r}: {error}") from None
