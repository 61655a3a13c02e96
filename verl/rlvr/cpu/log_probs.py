"""Log-probs and entropies of the answers' tokens, without the logits of anything else.

verl's engine multiplies every token of a padded micro-batch with the output embedding and keeps all logits for the backward pass,
several times over: for 2,900 tokens and 49,152 words 570 MB a copy. Here the output embedding is given only the states that predict
a token of an answer (no prompts, no padding), a piece at a time, and the logits of a piece are computed again in the backward
pass. Deliberately left out: models whose logits are more than one product (a bias, soft-capping, a scale): they stay with verl.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

LOGITS = 2**24  # at once: 64 MiB in float32
PLAIN_HEADS = ("llama", "qwen2", "qwen3", "mistral")  # model types whose logits are states × output embedding


@dataclass(frozen=True)
class Selection:
    """Which tokens of a padded micro-batch are computed.

    Attributes:
        places: (n,) positions in the padded states, (samples × longest) of them, that predict a token of an answer.
        labels: (n,) the tokens that they predict.
        temperature: (n,) of the sampling; None for 1.
        flat: (n,) the same positions in the flat batch without padding.
    """

    places: torch.Tensor
    labels: torch.Tensor
    temperature: torch.Tensor | None
    flat: torch.Tensor


def plain_head(model: Any) -> torch.nn.Linear | None:
    """The output embedding of ``model``; None where its logits are more than states × output embedding."""
    head = model.get_output_embeddings() if getattr(model.config, "model_type", None) in PLAIN_HEADS else None
    return head if isinstance(head, torch.nn.Linear) and head.bias is None else None


def select(input_ids: torch.Tensor, responses: torch.Tensor | None, temperature: torch.Tensor) -> Selection:
    """The states that predict ``responses``, of sequences that are padded on the right to the longest.

    Args:
        input_ids: (samples, length), jagged: prompt and response.
        responses: (samples, length), jagged; None for every token but the first.
        temperature: (samples,).
    """
    offsets = input_ids.offsets()
    lengths = offsets.diff()
    longest = int(lengths.max())
    answers = lengths - 1 if responses is None else responses.offsets().diff()
    samples = torch.arange(len(lengths)).repeat_interleave(answers)
    within = torch.arange(len(samples)) - (answers.cumsum(0) - answers)[samples]
    position = (lengths - answers - 1)[samples] + within
    flat = offsets[:-1][samples] + position
    return Selection(
        places=samples * longest + position,
        labels=input_ids.values()[flat + 1],
        temperature=None if bool((temperature == 1).all()) else temperature[samples],
        flat=flat,
    )


@contextmanager
def instead_of_logits(head: torch.nn.Linear, selection: Selection) -> Iterator[None]:
    """While it lasts, ``head`` (the output embedding) returns (1, n, 2): log-prob and entropy of the selected tokens."""

    def forward(states: torch.Tensor) -> torch.Tensor:
        chosen = states.reshape(-1, states.shape[-1])[selection.places]
        both = SelectedLogProbs.apply(chosen, head.weight, selection.labels, selection.temperature)
        return torch.stack(both, dim=-1).unsqueeze(0)

    head.forward = forward
    try:
        yield
    finally:
        del head.forward  # the class's own again


def spread(values: torch.Tensor, selection: Selection, input_ids: torch.Tensor) -> torch.Tensor:
    """``values`` (n,) as a jagged tensor like ``input_ids`` (samples, length): at the tokens that predict, zero elsewhere."""
    flat = values.new_zeros(len(input_ids.values())).index_put((selection.flat,), values)
    return torch.nested.nested_tensor_from_jagged(flat, input_ids.offsets())


class SelectedLogProbs(torch.autograd.Function):
    """(log-probs (n,), entropies (n,)) of ``labels`` under softmax(states · weightᵀ / temperature).

    With z the logits, p their softmax and H the entropy: ∂log p_y/∂z = 1_y − p and ∂H/∂z = −p (log p + H).
    """

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, temperature: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_probs, entropies = states.new_empty(len(states)), states.new_empty(len(states))
        normalisers = states.new_empty(len(states))
        for piece in pieces(len(states), len(weight)):
            z = logits(states[piece], weight, temperature, piece)
            normalisers[piece] = z.logsumexp(-1)
            z.sub_(normalisers[piece, None])
            log_probs[piece] = z.gather(1, labels[piece, None]).squeeze(1)
            entropies[piece] = -(z.exp().mul_(z)).sum(-1)
        ctx.save_for_backward(states, weight, labels, temperature, normalisers, entropies)
        return log_probs, entropies

    @staticmethod
    def backward(
        ctx: Any, log_prob_gradient: torch.Tensor, entropy_gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        states, weight, labels, temperature, normalisers, entropies = ctx.saved_tensors
        states_gradient = torch.empty_like(states)
        weight_gradient = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        of_entropy = bool(entropy_gradient.any())
        for piece in pieces(len(states), len(weight)):
            z = logits(states[piece], weight, temperature, piece).sub_(normalisers[piece, None])  # log p
            p = z.exp()
            pull = -log_prob_gradient[piece, None]
            p.mul_(
                z.add_(entropies[piece, None]).mul_(-entropy_gradient[piece, None]).add_(pull) if of_entropy else pull
            )
            p.scatter_add_(1, labels[piece, None], log_prob_gradient[piece, None])
            if temperature is not None:
                p.div_(temperature[piece, None])
            torch.mm(p, weight, out=states_gradient[piece])
            if weight_gradient is not None:
                weight_gradient.addmm_(p.t(), states[piece])
        return states_gradient, weight_gradient, None, None


def pieces(rows: int, words: int) -> Iterator[slice]:
    """Rows whose logits are computed at once."""
    step = max(1, LOGITS // words)
    return (slice(start, start + step) for start in range(0, rows, step))


def logits(states: torch.Tensor, weight: torch.Tensor, temperature: torch.Tensor | None, piece: slice) -> torch.Tensor:
    """(rows, words)."""
    z = states @ weight.t()
    return z if temperature is None else z.div_(temperature[piece, None])
