"""``${max_num_seqs:}`` in YAML: how many samples a vLLM works on at once, from the KV cache that the memory estimate leaves.

vLLM's default of 256 leaves most of a large KV cache empty. Too many samples for the cache are no error: vLLM puts the youngest off
and computes them again. Counted with ``launch.assumed_sequence_tokens`` tokens a sample, prompt included, because most answers are
far shorter than they may be. On a CPU it is the vocabulary that decides, in evaluation too.
"""

from typing import Any

from rlvr.launch import memory, shapes

LEAST, MOST = 64, 1024
UNKNOWN = 256  # vLLM's own
STEP = 64
CPU_LOGITS = 2**25  # bytes, float32


def max_num_seqs(*, _root_: Any) -> int:
    """The OmegaConf resolver of ``${max_num_seqs:}``; ``_root_`` is the whole configuration."""
    rollout, model, gib = _root_.actor_rollout_ref.rollout, _root_.actor_rollout_ref.model, _root_.launch.gpu_memory_gib
    try:
        fields, _ = shapes.find_config(model.path)
        shape = shapes.shape_of(fields) if fields else None
    except (OSError, ValueError):
        shape = None  # the checks before a run name a folder that is no model
    if _root_.trainer.device == "cpu":
        return on_cpu(shape.vocab if shape else None)
    if shape is None or gib is None:
        return UNKNOWN
    parallel = int(rollout.tensor_model_parallel_size)
    weights = memory.COMPUTE * (shape.parameters + shape.adapters(model.lora_rank)) / parallel
    cache = float(rollout.gpu_memory_utilization) * float(gib) * memory.GIB - weights - memory.VLLM_RUNTIME
    tokens = cache / memory.kv_bytes_per_token(shape, parallel)
    samples = int(tokens / float(_root_.launch.assumed_sequence_tokens)) // STEP * STEP
    return max(LEAST, min(samples, MOST))


def on_cpu(vocabulary: int | None) -> int:
    """More samples share the engine's own work a step, until their logits leave the caches.

    Args:
        vocabulary: words of the model; None where they are not known, which is taken for many.
    """
    return min(MOST, max(UNKNOWN, CPU_LOGITS // (4 * vocabulary))) if vocabulary else UNKNOWN
