"""A step with one update needs no old log-probs: the policy that is updated is the old one, and the ratio is 1."""

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from rlvr.methods.losses import READ_MARKS
from rlvr.methods.losses.decomposed import IS_OWN_OLD_POLICY


def needs_old_log_probs(config: DictConfig, mini_batches: int) -> bool:
    """Whether a step must compute log-probs before its updates: for a second update, and for what else reads them."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    reasons = (
        mini_batches * actor.ppo_epochs > 1,
        config.algorithm.use_kl_in_reward,
        rollout.calculate_log_probs,  # compared with the rollout's, or replaced by them
        actor.policy_loss.loss_mode not in READ_MARKS,
        not (actor.calculate_entropy or actor.entropy_coeff != 0.0),  # then the entropy comes from this pass alone
    )
    return any(reasons)


def as_own_old_policy(response_mask: torch.Tensor) -> torch.Tensor:
    """Jagged (samples, response) marks that stand where old log-probs would."""
    return torch.full_like(response_mask, IS_OWN_OLD_POLICY, dtype=torch.float32)


def put_old_log_probs(batch: KVBatchMeta, old_log_probs: torch.Tensor) -> KVBatchMeta:
    fields = TensorDict({"old_log_probs": old_log_probs}, batch_size=len(batch))
    return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)
