"""SimKO: ``actor_rollout_ref.actor.policy_loss.loss_mode=simko``; verl's clipped loss, asymmetric at tokens of high entropy.

    correct:   log π  →  (1 − α)·log π + α/K · Σ_{k ≤ K} log π_k,   the K most likely tokens at its place
    incorrect: A  →  boost · A,   where the token was the most likely one                    (https://arxiv.org/abs/2510.14807)

The mixture has log π's value and a share of the others' gradient: what the paper writes as sg(γ/γ_k)·γ_k is π's ratio γ whose
gradient goes to the k-th token, so no log-probs of the old policy's top K are needed. A token has high entropy above the
``quantile`` of its own answer; where none is (an answer of one token), this is the clipped loss. Correct is what has a positive
advantage.

verl hands a policy loss only log-probs, so :mod:`rlvr.training.simko`, which sees the logits, wraps the call in
:func:`top_k_known`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from rlvr.methods.losses.decomposed import compute_policy_loss_decomposed


@dataclass(frozen=True)
class SimKO:
    """Settings, under ``algorithm.simko``; the defaults are of the paper's runs.

    Attributes:
        k: K, how many tokens share.
        alpha: α, what share they get.
        quantile: of the entropies of an answer; tokens above it are changed.
        boost: on the advantage of an incorrect token that was the most likely one.
    """

    k: int = 3
    alpha: float = 0.01
    quantile: float = 0.8
    boost: float = 1.1

    def problems(self) -> list[str]:
        """What cannot be: one line each, without the section's name."""
        wrong = {
            f"k={self.k} must be a whole number from 1": not _is(int, self.k) or self.k < 1,
            f"alpha={self.alpha} must be from 0 to 1": not _is(float, self.alpha) or not 0 <= self.alpha <= 1,
            f"quantile={self.quantile} must be from 0 to 1": not _is(float, self.quantile)
            or not 0 <= self.quantile <= 1,
            f"boost={self.boost} must be above 0": not _is(float, self.boost) or not self.boost > 0,
        }
        return [line for line, holds in wrong.items() if holds]


@dataclass(frozen=True)
class TopK:
    """What the logits say of every response token; all tensors (samples, response_length).

    Attributes:
        settings: SimKO's.
        sum_log_probs: Σ log π_k of the K most likely tokens, with gradient.
        max_log_prob: of the most likely one.
        entropy: of the whole distribution.
    """

    settings: SimKO
    sum_log_probs: torch.Tensor
    max_log_prob: torch.Tensor
    entropy: torch.Tensor


_top_k: ContextVar[TopK] = ContextVar("what the logits of this micro-batch say")


@contextmanager
def top_k_known(top_k: TopK) -> Iterator[None]:
    """Within it, the loss knows what the logits say."""
    token = _top_k.set(top_k)
    try:
        yield
    finally:
        _top_k.reset(token)


def compute_policy_loss_simko(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """All tensors are (samples, response_length); returns the scalar loss and metrics.

    Raises:
        LookupError: outside :func:`top_k_known`.
    """
    top_k, mask = _top_k.get(), response_mask.bool()
    settings = top_k.settings
    uncertain = mask & (top_k.entropy > quantile_of_rows(top_k.entropy.detach(), mask, settings.quantile))
    shared = uncertain & (advantages > 0)
    others = (top_k.sum_log_probs - top_k.sum_log_probs.detach()) / settings.k  # value 0, gradient of the mean
    mixed = (1 - settings.alpha) * log_prob + settings.alpha * (log_prob.detach() + others)
    boosted = uncertain & (advantages < 0) & (log_prob.detach() >= top_k.max_log_prob - 1e-4)
    loss, metrics = compute_policy_loss_decomposed(
        old_log_prob,
        torch.where(shared, mixed, log_prob),
        torch.where(boosted, settings.boost * advantages, advantages),
        response_mask,
        loss_agg_mode,
        config,
        rollout_is_weights,
    )
    tokens = mask.sum().clamp(min=1)
    return loss, {
        **metrics,
        "actor/simko_shared": (shared.sum() / tokens).item(),
        "actor/simko_boosted": (boosted.sum() / tokens).item(),
    }


def quantile_of_rows(values: torch.Tensor, mask: torch.Tensor, quantile: float) -> torch.Tensor:
    """(samples, 1) the quantile of each row's values under ``mask``; NaN, which nothing exceeds, of an empty row."""
    return values.float().masked_fill(~mask, float("nan")).nanquantile(quantile, dim=-1, keepdim=True)


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
