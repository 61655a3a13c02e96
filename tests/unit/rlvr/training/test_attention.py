"""Packed sequences under ``packed_sdpa``: each is computed as it would be by itself, with the same gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

import verl  # noqa: F401  (loads the plugin, which registers the name)
from rlvr.training import attention

MODELS = ("llama", "qwen2", "qwen3")
SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}


def make(model_type, implementation=attention.NAME, auto=AutoModelForCausalLM):
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, num_labels=1, **SIZES)
    return auto.from_config(config, attn_implementation=implementation).eval()  # without dropout


def pack(sequences):
    """(1, tokens) each"""
    ids = torch.cat(sequences)[None]
    return ids, torch.cat([torch.arange(len(one)) for one in sequences])[None]


@pytest.mark.parametrize("auto", [AutoModelForCausalLM, AutoModelForTokenClassification])
@pytest.mark.parametrize("model_type", MODELS)
def test_packed_sequences_equal_separate_ones(model_type, auto):
    packed, plain = make(model_type, auto=auto), make(model_type, "eager", auto)
    plain.load_state_dict(packed.state_dict())
    sequences = [torch.randint(40, (length,)) for length in (5, 1, 9, 2)]
    ids, positions = pack(sequences)
    together = packed(input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False).logits[0]
    alone = torch.cat([plain(input_ids=one[None], use_cache=False).logits[0] for one in sequences])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    together.square().sum().backward()
    alone.square().sum().backward()
    for (name, ours), theirs in zip(packed.named_parameters(), plain.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4, msg=name)


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6))
@settings(max_examples=25)
def test_no_sequence_sees_another(lengths):
    model = make("qwen2")
    sequences = [torch.randint(40, (length,)) for length in lengths]
    ids, positions = pack(sequences)
    assert attention.sequence_lengths(positions) == lengths
    logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    other = ids.clone()
    other[0, : lengths[0]] = (other[0, : lengths[0]] + 1) % 40  # another first sequence
    changed = model(input_ids=other, position_ids=positions, use_cache=False).logits
    torch.testing.assert_close(logits[0, lengths[0] :], changed[0, lengths[0] :], atol=0, rtol=0)


def test_a_padded_batch_equals_sdpa():
    ours, theirs = make("qwen3"), make("qwen3", "sdpa")
    ids = torch.randint(40, (3, 6))
    mask = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]])
    real = mask.bool()
    results = [model(input_ids=ids, attention_mask=mask, use_cache=False).logits for model in (ours, theirs)]
    torch.testing.assert_close(results[0][real], results[1][real])
    whole = [
        model(input_ids=ids, attention_mask=torch.ones_like(mask), use_cache=False).logits for model in (ours, theirs)
    ]
    torch.testing.assert_close(*whole)


def test_what_it_cannot_do_is_refused():
    layer, states = torch.nn.Module(), torch.zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match="sliding_window"):
        attention.packed_attention(
            layer, states, states, states, None, position_ids=torch.zeros(1, 3), sliding_window=2
        )
    rows = states.expand(2, 2, 3, 4)
    with pytest.raises(ValueError, match="one row"):
        attention.packed_attention(layer, rows, rows, rows, None, position_ids=torch.tensor([[0, 1, 0], [0, 1, 2]]))
