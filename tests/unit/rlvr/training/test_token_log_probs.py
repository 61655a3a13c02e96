"""Log-probs by chunks are those of log-softmax, in float32, and so is their gradient."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.utils import torch_functional
from verl.utils.torch_functional import logprobs_from_logits_naive

from rlvr.training import token_log_probs


@given(rows=st.integers(1, 40), vocabulary=st.integers(1, 50), chunk=st.integers(1, 400), seed=st.integers(0, 2**16))
def test_log_probs_are_those_of_log_softmax(rows, vocabulary, chunk, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (10 * torch.randn(rows, vocabulary, generator=generator)).requires_grad_()
    labels = torch.randint(vocabulary, (rows,), generator=generator)
    weights = torch.randn(rows, generator=generator)
    before, token_log_probs.CHUNK = token_log_probs.CHUNK, chunk
    try:
        log_probs = token_log_probs.log_probs_of_labels(logits, labels)
        (gradient,) = torch.autograd.grad((weights * log_probs).sum(), logits)
    finally:
        token_log_probs.CHUNK = before
    expected = logprobs_from_logits_naive(logits, labels)
    torch.testing.assert_close(log_probs, expected, atol=1e-5, rtol=1e-5)
    (theirs,) = torch.autograd.grad((weights * expected).sum(), logits)
    torch.testing.assert_close(gradient, theirs, atol=1e-5, rtol=1e-5)


def test_bf16_logits_are_summed_in_float32():
    logits = torch.randn(5, 30_000).bfloat16()
    labels = torch.randint(30_000, (5,))
    log_probs = token_log_probs.log_probs_of_labels(logits, labels)
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs, logprobs_from_logits_naive(logits.float(), labels), atol=1e-5, rtol=1e-5)


def test_a_batch_with_several_dimensions():
    logits, labels = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    expected = logprobs_from_logits_naive(logits, labels)
    torch.testing.assert_close(token_log_probs.log_probs_of_labels(logits, labels), expected)


def test_verl_takes_them():
    """Where flash-attn is not installed, as in both of our sets of packages."""
    assert not torch_functional.FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE
    assert torch_functional.logprobs_from_logits_v2 is token_log_probs.log_probs_of_labels
