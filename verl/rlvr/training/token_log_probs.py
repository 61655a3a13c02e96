"""Log-probs of tokens out of the model's logits, in float32 and by chunks, where the flash-attn package is not installed.

Without it verl takes them one token at a time, and in bf16. Here a chunk of rows is worked on at once, and the backward pass makes
the softmax of a chunk again instead of keeping it: besides the logits and their gradient nothing as wide as the vocabulary is held.
Deliberately left out: the entropy, which verl computes from the same logits. Installed by :mod:`rlvr.plugin`.
"""

from collections.abc import Iterator
from typing import Any

import torch

CHUNK = 2**24  # logits at once: 64 MiB in float32


def log_probs_of_labels(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log-probs (...) of ``labels`` (...) under ``logits`` (..., vocabulary), in float32 (float64 of float64)."""
    return LogProbs.apply(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)).reshape(labels.shape)


class LogProbs(torch.autograd.Function):
    """log softmax(z)_y of rows z (rows, vocabulary), whose gradient is 1_y − softmax(z)."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        precise = torch.promote_types(logits.dtype, torch.float32)
        normalisers = torch.empty(len(logits), dtype=precise, device=logits.device)
        for rows in chunks(logits):
            normalisers[rows] = logits[rows].to(precise).logsumexp(-1)
        ctx.save_for_backward(logits, labels, normalisers)
        return logits.gather(-1, labels[:, None])[:, 0].to(precise) - normalisers

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, labels, normalisers = ctx.saved_tensors
        of_logits = torch.empty_like(logits)
        for rows in chunks(logits):
            softmax = (logits[rows].to(normalisers.dtype) - normalisers[rows, None]).exp_()
            softmax.scatter_add_(1, labels[rows, None], softmax.new_full((len(softmax), 1), -1.0))
            of_logits[rows] = softmax.mul_(-gradient[rows, None])
        return of_logits, None


def chunks(logits: torch.Tensor) -> Iterator[slice]:
    """Rows that are worked on at once."""
    step = max(1, CHUNK // logits.shape[-1])
    return (slice(start, start + step) for start in range(0, len(logits), step))
