"""The places of verl that hard-code a GPU, or a kernel of one, and have no hook; replaced here, on the CPU only.

Each must be replaced right after its module was imported, before others take it by name; :mod:`rlvr.plugin` sees to that.
"""

from typing import Any

import torch


def patch_process_group(distributed: Any) -> None:
    """verl builds ``cpu:gloo,<device>:<backend>``; on the CPU that names the device twice, which torch refuses."""
    upstream = distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        upstream(timeout_second, backend or "cpu:gloo")

    distributed.initialize_global_process_group_ray = initialize


def patch_value_model(model: Any) -> None:
    """The critic's model gets SDPA attention; verl asks for FlashAttention 2, which needs CUDA."""
    model.load_valuehead_model = load_value_model


def patch_offload(fsdp_engine: Any) -> None:
    """The reference model is offloaded "to the CPU" with pinned memory; here it is there already, and nothing can be pinned."""
    fsdp_engine.CPUOffloadPolicy = lambda pin_memory: None


def patch_log_probs(torch_functional: Any) -> None:
    """Without FlashAttention's kernel verl takes the log-probs one token at a time: most of a forward pass's time here."""
    torch_functional.logprobs_from_logits_v2 = log_probs_of_labels


LOG_PROB_CHUNK = 2**24  # logits at once: the temporary copy is 64 MiB in float32


def log_probs_of_labels(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log-probs (...) of ``labels`` (...) under ``logits`` (..., vocabulary), in the dtype of the logits."""
    rows = logits.reshape(-1, logits.shape[-1])
    chosen = rows.gather(-1, labels.reshape(-1, 1)).squeeze(-1)
    chunks = rows.split(max(1, LOG_PROB_CHUNK // rows.shape[-1]))
    return (chosen - torch.cat([chunk.logsumexp(-1) for chunk in chunks])).reshape(labels.shape)


def load_value_model(local_path: str, torch_dtype: torch.dtype, model_config: Any, trust_remote_code: bool) -> Any:
    """A transformers ``…ForTokenClassification`` model with one label, as upstream's function returns."""
    from transformers import AutoModelForTokenClassification

    return AutoModelForTokenClassification.from_pretrained(
        local_path,
        dtype=torch_dtype,
        config=model_config,
        attn_implementation="sdpa",
        trust_remote_code=trust_remote_code,
    )
