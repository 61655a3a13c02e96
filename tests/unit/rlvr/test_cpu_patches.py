"""What replaces a kernel of verl on the CPU computes what verl's does."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.utils.torch_functional import logprobs_from_logits_naive

from rlvr.cpu import patches


@given(rows=st.integers(1, 40), vocabulary=st.integers(1, 50), chunk=st.integers(1, 400), seed=st.integers(0, 2**16))
def test_log_probs_are_those_of_log_softmax(rows, vocabulary, chunk, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 10 * torch.randn(rows, vocabulary, generator=generator)
    labels = torch.randint(vocabulary, (rows,), generator=generator)
    before, patches.LOG_PROB_CHUNK = patches.LOG_PROB_CHUNK, chunk
    try:
        log_probs = patches.log_probs_of_labels(logits, labels)
    finally:
        patches.LOG_PROB_CHUNK = before
    torch.testing.assert_close(log_probs, logprobs_from_logits_naive(logits, labels), atol=1e-5, rtol=1e-5)


def test_log_probs_of_a_padded_batch_and_their_gradient():
    logits = torch.randn(3, 5, 7, requires_grad=True)
    labels = torch.randint(7, (3, 5))
    patches.log_probs_of_labels(logits, labels).sum().backward()
    expected = torch.autograd.grad(logprobs_from_logits_naive(logits, labels).sum(), logits)[0]
    torch.testing.assert_close(logits.grad, expected)
