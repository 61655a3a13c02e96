"""vLLM's KV cache on a CPU: what the requests need, out of what is free."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.cpu import worker
from rlvr.cpu.worker import SHARE, USUAL, kv_cache_bytes

GIB = 2**30


def test_a_tiny_model_takes_what_it_needs():
    assert kv_cache_bytes(request=256 * 768, requests=256, free=20 * GIB) == 256 * 256 * 768


def test_a_larger_one_takes_the_usual_size_and_a_very_long_request_more():
    assert kv_cache_bytes(request=GIB // 2, requests=256, free=100 * GIB) == USUAL
    assert kv_cache_bytes(request=9 * GIB, requests=256, free=100 * GIB) == 9 * GIB


def test_other_programs_keep_their_memory():
    assert kv_cache_bytes(request=GIB // 2, requests=256, free=8 * GIB) == 2 * GIB


@given(request=st.integers(1, 2**40), requests=st.integers(1, 4096), free=st.integers(0, 2**44))
def test_never_more_than_needed_nor_than_the_share_of_what_is_free(request, requests, free):
    size = kv_cache_bytes(request, requests, free)
    assert 0 <= size <= min(request * requests, SHARE * free)
    assert size <= USUAL or size <= request


@pytest.mark.parametrize(("explicit", "size"), [(None, 2 * GIB), (7 * GIB, 7 * GIB)])
def test_the_worker_asks_vllm_what_a_request_takes(monkeypatch, explicit, size):
    """Upstream's constructor, which binds memory and starts process groups, is left out."""
    demanded = []
    monkeypatch.setattr(
        worker.CPUWorker, "__init__", lambda self, config: demanded.append(config.cache_config.gpu_memory_utilization)
    )
    monkeypatch.setattr(worker.CPUWorker, "determine_available_memory", lambda self: explicit)
    monkeypatch.setattr(worker.machine, "free_memory", lambda: 8 * GIB)
    spec = SimpleNamespace(max_memory_usage_bytes=lambda config: GIB // 4)
    cache = SimpleNamespace(kv_cache_memory_bytes=explicit, gpu_memory_utilization=0.92)
    config = SimpleNamespace(cache_config=cache, scheduler_config=SimpleNamespace(max_num_seqs=256))
    made = worker.Worker(config)
    made.vllm_config, made.cache_config = config, cache
    made.model_runner = SimpleNamespace(
        warming_up_model=lambda: None, get_kv_cache_spec=lambda: {"layer 0": spec, "layer 1": spec}
    )
    assert made.determine_available_memory() == size
    assert demanded == [0.92 if explicit else 0.0]
