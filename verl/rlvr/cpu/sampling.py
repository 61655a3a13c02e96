"""The next tokens on the CPU: vLLM's distribution, without sorting or drawing noise for the whole vocabulary.

vLLM's own sampler for the CPU sorts every row for top-p and draws an exponential for every word: of 256 rows × 49,152 words 0.8 s
and 0.2 s on one core. Here a token is drawn by inverting the cumulative distribution, and top-p is done by rejection (Holtzman et
al., https://arxiv.org/abs/1904.09751, for top-p; rejection as in FlashInfer, https://flashinfer.ai/2025/03/10/sampling.html): a
token that is drawn from all words is in the nucleus if the words that are likelier have less than p together; otherwise it and
everything less likely is left out, and the row draws again. What comes out is distributed as the nucleus itself. For top-k the
largest k logits are taken first.

Rows are worked on a few at a time, so that what is computed of them stays in the cache. :func:`install` is vLLM's hook
(:mod:`rlvr.cpu.vllm`). Requests with a seed of their own, processed log-probs and float64 noise stay with vLLM's sampler.
"""

from types import ModuleType
from typing import Any

import torch

BLOCK = 64  # words of a block: a token is found block first
CHUNK = 2**19  # probabilities at once: 2 MiB, as much as the cache of a core
MOST_TOP_K = 1024  # a larger top-k is left to vLLM's filter


def install(sampler_module: ModuleType) -> None:
    """Replace the CPU's part of ``vllm.v1.sample.ops.topk_topp_sampler``."""
    sampler_class = sampler_module.TopKTopPSampler
    upstream = sampler_class.forward_cpu

    def forward_cpu(
        self: Any,
        logits: torch.Tensor,
        generators: dict[int, torch.Generator],
        k: torch.Tensor | None,
        p: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if generators or self.use_fp64_gumbel or self.logprobs_mode.startswith("processed"):
            return upstream(self, logits, generators, k, p)
        if k is not None:
            tokens = draw_top_k(logits, k, p)
            if tokens is not None:
                return tokens, None
            logits, p = sampler_module.apply_top_k_top_p(logits, k, p), None
        return draw(logits, p), None

    sampler_class.forward_cpu = forward_cpu


def draw(logits: torch.Tensor, p: torch.Tensor | None = None) -> torch.Tensor:
    """One token (rows,) of each row of ``logits`` (rows, vocabulary), of its nucleus where ``p`` (rows,) is given.

    Equally likely words are ordered by their number where the nucleus ends among them.
    """
    rows, words = logits.shape
    tokens = torch.empty(rows, dtype=torch.int64)
    if p is not None:
        p = p.masked_fill(p >= 1, torch.inf)  # all words, whatever their sum is rounded to
    step = max(1, CHUNK // words)
    for start in range(0, rows, step):
        probabilities = logits[start : start + step].softmax(-1, dtype=torch.float32)
        drawn = invert(probabilities)
        if p is not None:
            redraw_outside_nucleus(probabilities, drawn, p[start : start + step])
        tokens[start : start + step] = drawn
    return tokens


def redraw_outside_nucleus(probabilities: torch.Tensor, drawn: torch.Tensor, p: torch.Tensor) -> None:
    """Replace what was ``drawn`` (rows,) outside the nucleus of its row; uses ``probabilities`` (rows, vocabulary) up."""
    outside = (mass_before(probabilities, drawn) >= p).nonzero().squeeze(1)
    while len(outside):
        left = probabilities[outside]
        drop_from(left, drawn[outside])
        again = invert(left)
        drawn[outside] = again
        still = mass_before(left, again) >= p[outside]
        probabilities[outside] = left
        outside = outside[still]


def mass_before(probabilities: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Probability (rows,) of all words that come before ``tokens`` (rows,) in the order of likelihood."""
    chosen = probabilities.gather(1, tokens.unsqueeze(1))
    likelier = (probabilities > chosen).mul(probabilities).sum(1)
    tied = probabilities == chosen
    if int(tied.count_nonzero()) > len(tokens):
        earlier = tied.logical_and_(torch.arange(probabilities.shape[1]) < tokens.unsqueeze(1))
        likelier += earlier.sum(1) * chosen.squeeze(1)
    return likelier


def drop_from(probabilities: torch.Tensor, tokens: torch.Tensor) -> None:
    """Set the probability of ``tokens`` (rows,), and of all words after them in the order of likelihood, to zero."""
    chosen = probabilities.gather(1, tokens.unsqueeze(1))
    later = torch.arange(probabilities.shape[1]) >= tokens.unsqueeze(1)
    probabilities.masked_fill_((probabilities < chosen) | ((probabilities == chosen) & later), 0.0)


def invert(weights: torch.Tensor) -> torch.Tensor:
    """One index (rows,) of each row of ``weights`` (rows, words), in proportion to them; they need not add up to 1.

    A block is found in the cumulative sums of blocks, then a word in the block's; both in float64.
    """
    rows, words = weights.shape
    if words % BLOCK:
        weights = torch.nn.functional.pad(weights, (0, -words % BLOCK))
    blocks = weights.view(rows, -1, BLOCK)
    ends = blocks.sum(-1).cumsum(-1, dtype=torch.float64)
    target = torch.rand(rows, 1, dtype=torch.float64) * ends[:, -1:]
    block = first_above(ends, target)
    before = ends.gather(1, block) - blocks.sum(-1).gather(1, block)
    within = blocks.gather(1, block.unsqueeze(2).expand(rows, 1, BLOCK)).squeeze(1).cumsum(-1, dtype=torch.float64)
    return (block * BLOCK + first_above(within, target - before)).squeeze(1)


def first_above(ends: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Index (rows, 1) of the first of the cumulative sums ``ends`` (rows, n) above ``target`` (rows, 1).

    Where rounding put the target at the very end: the last index that has any weight.
    """
    last = (ends < ends[:, -1:]).sum(1, keepdim=True)
    return torch.minimum((ends <= target).sum(1, keepdim=True), last)


def draw_top_k(logits: torch.Tensor, k: torch.Tensor, p: torch.Tensor | None) -> torch.Tensor | None:
    """One token (rows,) of the ``k`` (rows,) likeliest of each row, then of their nucleus; as vLLM, with all that equal the k-th.

    None where that cannot be told from a few words: a row without a small k, or with more ties than were looked at.
    """
    words = logits.shape[1]
    most = int(k.max())
    if most > MOST_TOP_K or most >= words:
        return None
    largest, numbers = logits.topk(most + 1, dim=-1)
    threshold = largest.gather(1, k.long().unsqueeze(1) - 1)
    if bool((largest[:, -1:] >= threshold).any()):
        return None
    probabilities = largest.masked_fill(largest < threshold, -torch.inf).softmax(-1, dtype=torch.float32)
    if p is not None:
        p = p.masked_fill(p >= 1, torch.inf)
        before = probabilities.cumsum(-1, dtype=torch.float64) - probabilities
        probabilities = probabilities.masked_fill(before >= p.unsqueeze(1), 0.0)
    return numbers.gather(1, invert(probabilities).unsqueeze(1)).squeeze(1)
