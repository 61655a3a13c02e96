"""vLLM's CPU worker with a KV cache of the size that its requests need, out of the memory that is free.

    worker_cls="rlvr.cpu.worker.Worker"    (evaluation: passk/engine.py, training: configs/machine/cpu.yaml)

Left to itself vLLM takes 92 % of the machine's memory, fills all of it with zeros, and does not start where other programs hold
more than the rest. ``VLLM_CPU_KVCACHE_SPACE`` and ``kv_cache_memory_bytes`` mean what they mean in vLLM.
"""

from typing import Any

from vllm.v1.core.kv_cache_utils import max_memory_usage_bytes
from vllm.v1.worker.cpu_worker import CPUWorker

from rlvr import machine

USUAL = 4 * 2**30  # bytes: enough for hundreds of answers of a small model, and filled with zeros in seconds
SHARE = 0.25  # of the free memory, at most: training, other replicas and other programs need the rest


class Worker(CPUWorker):
    """Upstream's worker, which sizes its KV cache after the model was loaded."""

    def __init__(self, vllm_config: Any, *args: Any, **kwargs: Any) -> None:
        if vllm_config.cache_config.kv_cache_memory_bytes is None:
            # Upstream demands that this share of the whole machine is free, and reads it nowhere else.
            vllm_config.cache_config.gpu_memory_utilization = 0.0
        super().__init__(vllm_config, *args, **kwargs)

    def determine_available_memory(self) -> int:
        """Bytes of the KV cache; vLLM itself refuses a cache that cannot hold one whole request."""
        if self.cache_config.kv_cache_memory_bytes is not None:
            return super().determine_available_memory()
        self.model_runner.warming_up_model()
        request = max_memory_usage_bytes(self.vllm_config, self.model_runner.get_kv_cache_spec().values())
        return kv_cache_bytes(request, self.vllm_config.scheduler_config.max_num_seqs, machine.free_memory())


def kv_cache_bytes(request: int, requests: int, free: int) -> int:
    """Bytes of a KV cache.

    Args:
        request: bytes that one request of full length takes.
        requests: how many are under way at once, at most.
        free: bytes of memory that are free, the container's limit considered.

    Returns:
        What all requests need, but not more than the usual size (or one whole request) nor than a share of the free memory.
    """
    return min(request * requests, max(USUAL, request), int(SHARE * free))
