"""The trainer that our configurations choose (``trainer.v1.trainer_mode=decomposed``): upstream's synchronous one, and

- a step with nothing to learn from is skipped, counted and logged, and the run goes on;
- mini-batches are sized to what was kept, so that dropped samples cost no padding;
- a step with one update needs no old log-probs: the policy that is updated is the old one, and the ratio is 1;
- training workers fetch the tensors of a batch, and not every sample's prompt text and records as well;
- ``algorithm.positive_learning_weight`` weighs the loss of correct samples;
- validation reports unbiased pass@k and the mean token entropy beside upstream's figures;
- the resolved configuration and ``metrics.jsonl`` lie beside the checkpoints.

Choosing it by name is also the proof that the plugin is loaded in the process that trains: without it verl stops with
"Unknown trainer 'decomposed'".
"""

import dataclasses
import functools
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.metric import reduce_metrics
from verl.utils.py_functional import rename_dict
from verl.utils.transferqueue_utils import kv_batch_meta2batch_meta
from verl.workers.utils.padding import response_to_nested

from rlvr.heap import freeze_heap
from rlvr.methods.policy_loss import IS_OWN_OLD_POLICY
from rlvr.training.metrics import group_counts, pass_at_k_metrics
from rlvr.training.metrics_log import MetricsLog
from rlvr.training.progress import Progress
from rlvr.training.sampler import SKIP

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

NAME = "decomposed"


@register_trainer(NAME)
class DecomposedTrainer(PPOTrainerSync):
    """Synchronous PPO trainer for PSR, NSR, W-REINFORCE, GRPO and PPO."""

    def __init__(self, config: DictConfig):
        super().__init__(config)
        self.trainer_mode = "sync"  # upstream branches on this word; by behaviour this is the synchronous trainer
        self.skipped_steps = 0
        self.step_is_skipped = False
        self.training = False  # validation before the first step is a line of its own, step 0
        Progress(self, OmegaConf.select(config, "trainer.watchdog.timeout_s")).publish_forever()

    def init(self) -> None:
        super().init()
        self._prove_plugin_in_workers()
        if self.processor is None:  # inputs of multi-modal models are no tensors
            self._send_tensors_only()
        folder = Path(self.config.trainer.default_local_dir)
        self.metrics_log = MetricsLog(folder / "metrics.jsonl", resumed_from=self.global_steps)
        self.skipped_steps = int(self.metrics_log.last("rlvr/skipped_steps") or 0)
        OmegaConf.save(self.config, folder / "config.yaml", resolve=True)
        # Where verl writes with trainer.logger=[tensorboard].
        os.environ.setdefault("TENSORBOARD_DIR", str(folder / "tensorboard"))
        freeze_heap()

    def _prove_plugin_in_workers(self) -> None:
        """verl swallows errors of plugins, and the loss is looked up in the training workers only at the first update.

        Raises:
            RuntimeError: if a worker does not know our names.
        """
        found = ray.get([worker.__ray_call__.remote(knows_our_loss) for worker in self.actor_rollout_wg.workers])
        if not all(found):
            raise RuntimeError(
                f"{found.count(False)} of {len(found)} training workers did not load the plugin of rlvr-decomposed: "
                "install it on every node (`make install`)"
            )

    def _send_tensors_only(self) -> None:
        """verl's workers fetch every field of a batch; the others cost more than a small model's forward pass."""
        groups = [self.actor_rollout_wg]
        if self.use_reference_policy and self.ref_policy_wg is not self.actor_rollout_wg:
            groups.append(self.ref_policy_wg)
        if self.use_critic:
            groups.append(self.critic_wg)
        for group in groups:
            for name in ("compute_log_prob", "compute_ref_log_prob", "update_actor", "infer_batch", "train_mini_batch"):
                if hasattr(group, name):
                    setattr(group, name, on_tensors(getattr(group, name)))

    # ---- a step that may have nothing to learn from

    def _step_once(self, metrics: dict, timing_raw: dict, sample_batch_size: int) -> KVBatchMeta:
        try:
            return super()._step_once(metrics, timing_raw, sample_batch_size)
        except NothingToLearnFrom as skipped:
            self.skipped_steps += 1
            logger.warning("step %d: no sample to learn from, the update is skipped", self.global_steps)
            return skipped.batch
        finally:
            metrics["rlvr/skipped_steps"] = self.skipped_steps

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict, *args: Any, **kwargs: Any) -> KVBatchMeta:
        self.step_is_skipped = bool(batch.extra_info.get(SKIP))
        if self.step_is_skipped:
            raise NothingToLearnFrom(batch)
        self.mini_batches = math.ceil(len(batch) / self._mini_batch_samples())
        return super()._balance_batch(batch, metrics, *args, **kwargs)

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict, timing_raw: dict, global_steps: int, epoch: int
    ) -> None:
        if not self.step_is_skipped:
            super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        else:  # there are no advantages or log-probs to report on
            metrics.update({"training/global_step": global_steps, "training/epoch": epoch})
            metrics.update({f"timing_s/{phase}": seconds for phase, seconds in timing_raw.items()})
        self.metrics_log.append(global_steps, metrics)

    # ---- mini-batches sized to what was kept

    def _mini_batch_samples(self) -> int:
        """Samples in a full mini-batch: ``ppo_mini_batch_size`` counts questions."""
        return self.config.actor_rollout_ref.actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n

    def _get_required_batch_multiple(self, dp_size: int) -> int:
        """Upstream pads the batch to whole mini-batches; after dropping, that could be mostly padding.

        Instead the kept samples are spread evenly over as many mini-batches as they fill. A critic needs its own whole
        mini-batches, and the methods that have one drop nothing.
        """
        if self.use_critic:
            return super()._get_required_batch_multiple(dp_size)
        return dp_size * self.mini_batches

    def _update_actor(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        actor = self.config.actor_rollout_ref.actor
        mini_batch_size = self._mini_batch_samples() if self.use_critic else len(batch) // self.mini_batches
        batch.extra_info.update(
            calculate_entropy=actor.calculate_entropy or actor.entropy_coeff != 0.0,
            global_batch_size=mini_batch_size,
            mini_batch_size=mini_batch_size,
            epochs=actor.ppo_epochs,
            seed=actor.data_loader_seed,
            dataloader_kwargs={"shuffle": actor.shuffle},
            temperature=self.config.actor_rollout_ref.rollout.temperature,
        )
        output = rename_dict(self.actor_rollout_wg.update_actor(batch)["metrics"], "actor/")
        output["perf/mfu/actor"] = output.pop("actor/mfu")
        metrics.update(reduce_metrics(output))
        metrics["rlvr/optimizer_steps"] = self.mini_batches * actor.ppo_epochs
        # Upstream takes the entropy from the pass for old log-probs; with one update it is the same number.
        if "actor/entropy_loss" in metrics:
            metrics.setdefault("actor/entropy", metrics["actor/entropy_loss"])
        return batch

    # ---- one update a step

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        if needs_old_log_probs(self.config, self.mini_batches):
            return super()._compute_old_log_prob(batch, metrics)
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["response_mask"])
        marks = torch.full_like(data["response_mask"], IS_OWN_OLD_POLICY, dtype=torch.float32)
        fields = TensorDict({"old_log_probs": marks}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def _log_rollout_data(self, batch: KVBatchMeta, timing_raw: dict, rollout_data_dir: str) -> None:
        """As upstream's, without the rows that fill up the last mini-batch: they are no answers of the model."""
        samples = [key for key, tag in zip(batch.keys, batch.tags) if not tag.get("is_padding", False)]
        super()._log_rollout_data(batch.select_keys(samples), timing_raw, rollout_data_dir)

    # ---- the loss of correct samples

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        batch = super()._compute_advantage(batch, metrics)
        weight = self.config.algorithm.positive_learning_weight
        if weight is not None:
            self._weigh_correct_samples(batch, float(weight))
        return batch

    def _weigh_correct_samples(self, batch: KVBatchMeta, weight: float) -> None:
        """Multiply the loss of correct samples by ``weight``.

        ``rollout_is_weights`` is the one field of a sample that verl multiplies into every policy loss, token by token; where
        rollout correction has already written it, the two weights multiply.
        """
        fields = ["rm_scores", "response_mask", "rollout_is_weights"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        response_mask = data["response_mask"]
        padded = data.to_padded_tensor()
        weights = padded.get("rollout_is_weights", torch.ones_like(padded["rm_scores"]))
        weights = torch.where(padded["rm_scores"].sum(-1, keepdim=True) == 1, weights * weight, weights)
        fields_to_put = TensorDict(
            {"rollout_is_weights": response_to_nested(weights, response_mask)}, batch_size=len(batch)
        )
        tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields_to_put)

    # ---- validation

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list],
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, float]:
        metrics = super()._val_metrics_update(data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs)
        rewards = reward_extra_infos_dict["reward"]
        for source in sorted(set(data_sources)):
            rows = [row for row, its_source in enumerate(data_sources) if its_source == source]
            groups = group_counts([sample_uids[row] for row in rows], [rewards[row] == 1 for row in rows])
            for name, value in pass_at_k_metrics(groups).items():
                metrics[f"val-core/{source}/{name}"] = value
        entropy = self.replay_buffer.take_validation_entropy()
        if entropy is not None:
            metrics["val-core/entropy"] = entropy
        if not self.training and self.global_steps == 0:
            self.metrics_log.append(self.global_steps, metrics)
        return metrics

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.training = True


def needs_old_log_probs(config: DictConfig, mini_batches: int) -> bool:
    """Whether a step must compute log-probs before its updates: for a second update, and for what else reads them."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    reasons = (
        mini_batches * actor.ppo_epochs > 1,
        config.algorithm.use_kl_in_reward,
        rollout.calculate_log_probs,  # compared with the rollout's, or replaced by them
        actor.policy_loss.loss_mode != "decomposed",  # others cannot read the mark
        not (actor.calculate_entropy or actor.entropy_coeff != 0.0),  # then the entropy comes from this pass alone
    )
    return any(reasons)


def on_tensors(method: Callable[[KVBatchMeta], Any]) -> Callable[[KVBatchMeta], Any]:
    """A worker group's method that sees only the fields of a batch that are tensors."""

    @functools.wraps(method)
    def call(batch: KVBatchMeta) -> Any:
        schema = kv_batch_meta2batch_meta(batch).field_schema
        return method(dataclasses.replace(batch, fields=tensor_fields(schema)))

    return call


def tensor_fields(schema: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the fields that TransferQueue stores as tensors."""
    return [name for name, field in schema.items() if not field["is_non_tensor"]]


def on_plain_numbers(partition: Callable[..., list[list[int]]]) -> Callable[..., list[list[int]]]:
    """verl balances the samples over the workers on a tensor, whose every comparison is an operation of torch.

    The same partitions from numbers: 0.5 s less a step with 8,192 samples on 8 workers.
    """

    @functools.wraps(partition)
    def call(workloads: torch.Tensor, *args: Any, **kwargs: Any) -> list[list[int]]:
        return partition(workloads.tolist(), *args, **kwargs)

    return call


# The one place of this project that replaces a function of verl on GPUs too: it has no hook.
trainer_base.get_seqlen_balanced_partitions = on_plain_numbers(trainer_base.get_seqlen_balanced_partitions)


def knows_our_loss(worker: Any) -> bool:
    """Runs inside a training worker."""
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    return "decomposed" in POLICY_LOSS_REGISTRY


class NothingToLearnFrom(Exception):
    """No sample of the step could have a gradient."""

    def __init__(self, batch: KVBatchMeta):
        super().__init__("no sample to learn from")
        self.batch = batch
