"""Policy loss ``actor_rollout_ref.actor.policy_loss.loss_mode=decomposed``: verl's clipped loss, seen by sign.

The value of the loss is verl's own (``vanilla``); what is added is how often the clip acts on samples that are pushed up and
on samples that are pushed down. ``algorithm.positive_learning_weight`` (another knob than ``positive_advantage_weight``: it
acts on the loss of correct samples, also under GRPO and PPO whose advantages know nothing of it) arrives here as a weight a
token, written by :mod:`rlvr.training.learning_weight`.

Deliberately left out: the dual clip. verl bounds the loss of negative advantages at ``clip_ratio_c``, the paper's code does
not; our configurations set it out of reach, and a user may set it back.
"""

from typing import Any

import torch

# Written instead of old log-probs where a step has one update, whose policy is the old one: see rlvr.training.old_log_probs.
IS_OWN_OLD_POLICY = float("nan")


def compute_policy_loss_decomposed(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """All tensors are (samples, response_length); returns the scalar loss and verl's metrics plus two clip fractions.

    Where ``old_log_prob`` is ``IS_OWN_OLD_POLICY``, the policy is compared with itself: ratio 1, gradient unchanged.
    """
    # Imported here: this module is loaded while core_algos is being registered with.
    from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla

    old_log_prob = own_old_policy(old_log_prob, log_prob)
    loss, metrics = compute_policy_loss_vanilla(
        old_log_prob, log_prob, advantages, response_mask, loss_agg_mode, config, rollout_is_weights
    )
    fractions = clip_fractions(old_log_prob, log_prob.detach(), advantages, response_mask, *clip_range(config))
    return loss, {**metrics, **fractions}


def own_old_policy(old_log_prob: torch.Tensor, log_prob: torch.Tensor) -> torch.Tensor:
    """``old_log_prob`` with the present log-probs, without gradient, where the mark stands."""
    return torch.where(old_log_prob.isnan(), log_prob.detach(), old_log_prob)


def clip_range(config: Any) -> tuple[float, float]:
    """(low, high) of the ratio's clip, as verl resolves it."""
    low = config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low
    high = config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high
    return low, high


def clip_fractions(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    clip_low: float,
    clip_high: float,
) -> dict[str, float]:
    """Share of clipped tokens among those with positive and among those with negative advantage; 0 where there are none.

    The clip acts where it takes the gradient away: ratio > 1 + high on positive advantages, ratio < 1 − low on negative ones.
    """
    ratio = (log_prob - old_log_prob).exp()
    mask = response_mask.bool()
    pushed_up, pushed_down = mask & (advantages > 0), mask & (advantages < 0)
    return {
        "actor/pg_clipfrac_positive": _share(ratio > 1 + clip_high, pushed_up),
        "actor/pg_clipfrac_negative": _share(ratio < 1 - clip_low, pushed_down),
    }


def _share(event: torch.Tensor, among: torch.Tensor) -> float:
    return ((event & among).sum() / among.sum().clamp(min=1)).item()
