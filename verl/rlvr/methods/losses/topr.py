"""TOPR, tapered off-policy REINFORCE: ``actor_rollout_ref.actor.policy_loss.loss_mode=topr``.

    A > 0: −A·log π,    A < 0: −A·w·log π,  w = clamp(ratio of the whole answer, 0, 1), no gradient through it
                                                                                     (https://arxiv.org/abs/2503.14286)

The ratio is the geometric mean over the answer's tokens of π/π_old, as in verl's pull request 6986. Instead of a clip, which takes
the gradient away from a token that has moved far, the push on an incorrect answer fades as the answer becomes unlikely; a
correct one is always reinforced in full. On-policy, in a step with one update, it is REINFORCE. Made for samples of another
policy: many mini-batches a step, old samples.
"""

from typing import Any

import torch

from rlvr.methods.losses.decomposed import own_old_policy


def compute_policy_loss_topr(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """All tensors are (samples, response_length); returns the scalar loss and metrics.

    The loss is aggregated as ``loss_agg_mode`` says (the paper: each answer by its length, ``seq-mean-token-mean``).
    """
    from verl.trainer.ppo.core_algos import agg_loss

    mask = response_mask.bool()
    log_ratio = (log_prob.detach() - own_old_policy(old_log_prob, log_prob)).where(mask, 0.0)
    lengths = mask.sum(-1, keepdim=True).clamp(min=1)
    taper = (log_ratio.sum(-1, keepdim=True) / lengths).exp().clamp(max=1)  # (samples, 1)
    weights = torch.where(advantages < 0, taper, 1.0)
    losses = -advantages * weights * log_prob
    if rollout_is_weights is not None:
        losses = losses * rollout_is_weights
    loss = agg_loss(losses, response_mask, loss_agg_mode, **config.global_batch_info)
    pushed_down = mask & (advantages < 0)
    mean_taper = (weights * pushed_down).sum() / pushed_down.sum().clamp(min=1)
    return loss, {
        "actor/ppo_kl": (-log_ratio.sum() / mask.sum().clamp(min=1)).item(),
        "actor/topr_taper": mean_taper.item(),
    }
