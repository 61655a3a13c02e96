"""Attention over packed sequences by torch alone: ``attn_implementation=packed_sdpa``, in place of the flash-attn package.

verl lays the sequences of a micro-batch one after another (``use_remove_padding``), with position ids that begin again at 0. Each
of them is one call of torch's ``scaled_dot_product_attention``: no mask, no work across sequences, and on a GPU torch's own
FlashAttention kernels (bf16, Ampere and later), which come with torch and need no compiler. With Ulysses (DeepSpeed-Ulysses,
https://arxiv.org/abs/2309.14509) heads are exchanged for tokens first, as verl does it for flash-attn alone.

Deliberately left out: sliding windows, soft-capping and attention sinks, which the models of :mod:`rlvr.launch.shapes` do not use;
they are refused. A batch with an attention mask is transformers' own ``sdpa``. Registered by :mod:`rlvr.plugin`.
"""

from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

NAME = "packed_sdpa"
_lengths: WeakIdKeyDictionary = WeakIdKeyDictionary()  # position ids -> sequence_lengths of them: every layer asks


def register() -> None:
    """Make the name known to transformers, which is imported at that moment."""
    from transformers.masking_utils import AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, padding_mask)


def padding_mask(*args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """transformers' mask of a padded batch; None of a packed one, which needs none."""
    from transformers.masking_utils import sdpa_mask

    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_ids: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sequence of a packed batch.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, head size); under Ulysses the tokens of this rank.
        key: (1, key heads, tokens, head size).
        value: as ``key``.
        attention_mask: of a padded batch; None of a packed one.
        position_ids: (1, tokens), of this rank; a sequence begins where they are 0.

    Returns:
        (1, tokens, heads, head size), and no weights.

    Raises:
        ValueError: for what is left out, above, and for several rows of which one is packed.
    """
    for setting in ("sliding_window", "softcap", "s_aux"):
        if kwargs.get(setting) is not None:
            raise ValueError(f"attn_implementation={NAME} has no {setting}: choose flash_attention_2 or sdpa")
    if attention_mask is not None or len(query) > 1 or position_ids is None:
        # Without a mask the rows are of one length: each must be one sequence.
        if attention_mask is None and position_ids is not None and int((position_ids == 0).sum()) > len(position_ids):
            raise ValueError(f"attn_implementation={NAME} packs sequences into one row, not into {len(query)}")
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    lengths = sequence_lengths(position_ids)
    query, key, value = gather_tokens(query, key, value)
    sequences = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2))
    outputs = [
        torch.nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
        for q, k, v in sequences
    ]
    return gather_heads(torch.cat(outputs, 2).transpose(1, 2)), None


def sequence_lengths(position_ids: torch.Tensor) -> list[int]:
    """Tokens of each sequence of ``position_ids`` (1, tokens); under Ulysses of all ranks' tokens, which are gathered."""
    if position_ids not in _lengths:
        positions = all_tokens(position_ids)[0]
        starts = (positions == 0).nonzero()[:, 0]
        ends = torch.cat([starts[1:], starts.new_tensor([len(positions)])])
        _lengths[position_ids] = (ends - starts).tolist()
    return _lengths[position_ids]


def all_tokens(position_ids: torch.Tensor) -> torch.Tensor:
    """(1, tokens of all ranks)"""
    from verl.utils.ulysses import get_ulysses_sequence_parallel_group as group
    from verl.utils.ulysses import get_ulysses_sequence_parallel_world_size as ranks

    if ranks() == 1:
        return position_ids
    parts = [torch.empty_like(position_ids) for _ in range(ranks())]
    torch.distributed.all_gather(parts, position_ids.contiguous(), group=group())
    return torch.cat(parts, dim=-1)


def gather_tokens(*states: torch.Tensor) -> list[torch.Tensor]:
    """States (1, heads, tokens of this rank, size) with all tokens and this rank's part of the heads."""
    from verl.utils.ulysses import gather_seq_scatter_heads
    from verl.utils.ulysses import get_ulysses_sequence_parallel_world_size as ranks

    if ranks() == 1:
        return list(states)
    # Fewer key heads than ranks are repeated, so that every rank has one.
    copied = [one.repeat_interleave(max(ranks() // one.shape[1], 1), dim=1) for one in states]
    return [gather_seq_scatter_heads(one, seq_dim=2, head_dim=1) for one in copied]


def gather_heads(output: torch.Tensor) -> torch.Tensor:
    """``output`` (1, all tokens, heads of this rank, size) as (1, tokens of this rank, all heads, size)."""
    from verl.utils.ulysses import gather_heads_scatter_seq
    from verl.utils.ulysses import get_ulysses_sequence_parallel_world_size as ranks

    return output.contiguous() if ranks() == 1 else gather_heads_scatter_seq(output, seq_dim=1, head_dim=2)
