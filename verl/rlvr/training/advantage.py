"""``algorithm.adv_estimator=psr_nsr``: spreads the advantage of each sample over its response tokens.

The advantage itself was computed by :mod:`rlvr.training.sampler`, which saw the whole batch, and stands in the sample's tags:
those go with it wherever it goes, and a padding row gets those of the sample it was made from. verl hands an estimator only the
fields that it knows itself, so the trainer wraps the call in :func:`stored_advantages`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta

ADVANTAGE, CORRECT = "sample_advantage", "sample_correct"

_advantages: ContextVar[torch.Tensor] = ContextVar("advantages of the samples of this batch")


def store(batch: KVBatchMeta, correct: Sequence[bool], advantages: torch.Tensor | None) -> KVBatchMeta:
    """Write into the tags what is known of each sample; go on with the batch that is returned.

    Args:
        correct: of each sample, whether its reward is 1.
        advantages: (samples,) float32; None of an estimator of upstream's.
    """
    tags: list[dict[str, Any]] = [{CORRECT: float(one)} for one in correct]
    if advantages is not None:
        tags = [tag | {ADVANTAGE: advantage} for tag, advantage in zip(tags, advantages.tolist(), strict=True)]
    tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, tags=tags)  # adds to the tags that are there
    return KVBatchMeta(batch.keys, [old | new for old, new in zip(batch.tags, tags)], batch.partition_id)


def read(tags: Sequence[Mapping[str, Any]], name: str) -> torch.Tensor:
    """(samples,) float32: what the tags of a batch say."""
    return torch.tensor([tag[name] for tag in tags], dtype=torch.float32)


@contextmanager
def stored_advantages(batch: KVBatchMeta) -> Iterator[None]:
    """Within it, the estimator knows the advantage of each sample of ``batch``."""
    token = _advantages.set(read(batch.tags, ADVANTAGE))
    try:
        yield
    finally:
        _advantages.reset(token)


def compute_psr_nsr_advantage(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """What verl calls; to be called within :func:`stored_advantages`.

    Args:
        token_level_rewards: (samples, response_length) float.
        response_mask: (samples, response_length); 1 on response tokens.

    Returns:
        ``(advantages, returns)``, both (samples, response_length) float32. Returns are rewards to go (γ = 1).

    Raises:
        LookupError: outside; psr_nsr runs under ``trainer.v1.trainer_mode=decomposed`` alone.
    """
    return spread(_advantages.get(), token_level_rewards, response_mask)


def spread(
    advantages: torch.Tensor, token_level_rewards: torch.Tensor, response_mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``advantages`` (samples,) to ``(advantages, returns)`` as :func:`compute_psr_nsr_advantage` returns them."""
    with torch.no_grad():
        mask = response_mask.float()
        returns = token_level_rewards.float().flip(-1).cumsum(-1).flip(-1) * mask
        return advantages.float().to(mask.device).unsqueeze(-1) * mask, returns
