"""Sampling on the CPU: the same distribution as vLLM's own filter and noise, drawn another way."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vllm.v1.sample.ops import topk_topp_sampler as vllm_sampler

from rlvr.cpu import sampling

DRAWS = 10_000


def vllm_probabilities(logits: torch.Tensor, k: int | None, p: float | None) -> torch.Tensor:
    """(words,) of what vLLM draws from for one row."""
    ks = None if k is None else torch.tensor([k])
    ps = None if p is None else torch.tensor([p])
    filtered = vllm_sampler.apply_top_k_top_p_pytorch(logits.clone().unsqueeze(0), ks, ps, allow_cpu_sync=True)
    return filtered.double().softmax(-1).squeeze(0)


def frequencies(logits: torch.Tensor, k: int | None = None, p: float | None = None) -> torch.Tensor:
    """(words,) of what is drawn for ``DRAWS`` equal rows."""
    rows = logits.expand(DRAWS, -1)
    ps = None if p is None else torch.full((DRAWS,), p)
    tokens = sampling.draw(rows, ps) if k is None else sampling.draw_top_k(rows, torch.full((DRAWS,), k), ps)
    return torch.bincount(tokens, minlength=len(logits)) / DRAWS


def assert_drawn_from(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Nothing outside the support, and within five standard errors of each probability."""
    assert not bool((found[expected == 0] > 0).any())
    error = 5 * (expected * (1 - expected) / DRAWS).sqrt() + 1 / DRAWS
    assert bool(((found - expected).abs() <= error).all()), (found, expected)


@pytest.mark.parametrize("words", [7, 64, 200])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("k", "p"), [(None, None), (None, 0.95), (None, 0.3), (3, None), (3, 0.8), (1, 0.5)])
def test_the_distribution_is_vllms(words, temperature, k, p):
    torch.manual_seed(words)
    logits = torch.randn(words) * 3 / temperature
    torch.manual_seed(0)
    assert_drawn_from(frequencies(logits, k, p), vllm_probabilities(logits, k, p))


@pytest.mark.parametrize("p", [0.055, 0.505, 0.755, 0.999])
def test_a_flat_distribution_keeps_as_many_words_as_vllm_does(p):
    """Every word is tied with every other: as many as reach p, each with the same chance."""
    found = frequencies(torch.zeros(100), p=p)
    kept = int((vllm_probabilities(torch.zeros(100), None, p) > 0).sum())
    expected = torch.zeros(100, dtype=torch.float64)
    expected[:kept] = 1 / kept
    assert_drawn_from(found, expected)


def test_ties_where_the_nucleus_ends_are_cut_among_the_tied():
    probabilities = torch.tensor([0.1, 0.4, 0.1, 0.1, 0.1, 0.2])
    found = frequencies(probabilities.log(), p=0.75)  # 0.4 + 0.2, and two of the four
    kept = vllm_probabilities(probabilities.log(), None, 0.75)
    assert sorted(kept[kept > 0].tolist()) == pytest.approx(sorted((found[found > 0]).tolist()), abs=0.02)
    assert int((found > 0).sum()) == 4


def test_all_that_equal_the_kth_stay_or_the_row_is_left_to_vllm():
    logits = torch.tensor([[3.0, 1.0, 2.0, 2.0, 0.0, -1.0]])
    assert sampling.draw_top_k(logits, torch.tensor([2]), None) is None, "a third one may be tied"
    both = torch.cat([logits, logits])
    counts = torch.zeros(6)
    torch.manual_seed(0)
    for _ in range(300):
        tokens = sampling.draw_top_k(both, torch.tensor([2, 3]), None)
        counts[tokens[0]] += 1
    assert (counts > 0).tolist() == [True, False, True, True, False, False]
    assert sampling.draw_top_k(logits, torch.tensor([6]), None) is None, "a row without top-k"


def test_rows_with_their_own_settings():
    """One row with all words, one with a nucleus, one that is nearly greedy."""
    torch.manual_seed(0)
    logits = torch.randn(130) * 2
    rows, p = logits.repeat(3 * 2000, 1), torch.tensor([1.0, 0.6, 1e-6]).repeat(2000)
    tokens = sampling.draw(rows, p).view(2000, 3)
    nucleus = (vllm_probabilities(logits, None, 0.6) > 0).nonzero().squeeze(1)
    assert set(tokens[:, 1].tolist()) <= set(nucleus.tolist())
    assert set(tokens[:, 2].tolist()) == {int(logits.argmax())}
    assert len(set(tokens[:, 0].tolist()) - set(nucleus.tolist())) > 0


@given(
    st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=150),
    st.floats(0.01, 1.0),
    st.integers(0, 2**31),
)
@settings(max_examples=200, deadline=None)
def test_never_outside_the_nucleus(values, p, seed):
    torch.manual_seed(seed)
    logits = torch.tensor(values)
    token = int(sampling.draw(logits.unsqueeze(0), torch.tensor([p])))
    probabilities = logits.softmax(-1).double()
    assert float(probabilities[token]) > 0
    likelier = float(probabilities[probabilities > probabilities[token]].sum())
    assert likelier < p + 1e-6


def test_words_that_are_masked_are_never_drawn():
    logits = torch.full((500, 70), -torch.inf)
    logits[:, 69] = 0.0
    assert set(sampling.draw(logits, torch.full((500,), 0.9)).tolist()) == {69}
    assert set(sampling.invert(torch.tensor([[0.0] * 63 + [1e-30] + [0.0] * 70]).expand(500, -1)).tolist()) == {63}


@pytest.mark.parametrize(("target", "index"), [(0.0, 1), (0.25, 1), (0.5, 3), (0.999, 3), (1.0, 3), (2.0, 3)])
def test_the_word_at_a_target(target, index):
    ends = torch.tensor([[0.0, 0.5, 0.5, 1.0, 1.0]])
    assert int(sampling.first_above(ends, torch.tensor([[target]]))) == index


def test_in_vllms_sampler(monkeypatch):
    """Installed, and out of the way where a request has its own seed, or log-probs of the filtered distribution are wanted."""
    calls = []

    class Sampler:
        logprobs_mode, use_fp64_gumbel = "raw_logprobs", False

        def forward_cpu(self, *arguments):
            calls.append(arguments)

    module = type("module", (), {"TopKTopPSampler": Sampler, "apply_top_k_top_p": vllm_sampler.apply_top_k_top_p})
    sampling.install(module)
    sampler, logits = Sampler(), torch.zeros(2, 10)
    p, k, all_words = torch.tensor([0.5, 0.5]), torch.tensor([2, 2]), torch.tensor([10, 2])
    for kk, pp in ((None, None), (None, p), (k, None), (all_words, p)):
        tokens, log_probs = sampler.forward_cpu(logits.clone(), {}, kk, pp)
        assert tokens.shape == (2,) and tokens.dtype == torch.int64 and log_probs is None
    assert not calls
    sampler.forward_cpu(logits, {0: torch.Generator()}, None, p)
    sampler.logprobs_mode = "processed_logprobs"
    sampler.forward_cpu(logits, {}, None, p)
    assert len(calls) == 2


def test_vllm_loads_it():
    """Through the entry point, in a process that has loaded vLLM's plugins."""
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    assert vllm_sampler.TopKTopPSampler.forward_cpu.__module__ == "rlvr.cpu.sampling"
