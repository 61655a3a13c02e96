"""The bucket through which new weights go from the trainer to vLLM: ``${weight_bucket:N}`` in YAML, and what is too small.

verl copies tensors into a buffer of ``update_weights_bucket_megabytes`` (each 2^20 bytes). A tensor that is larger goes by itself
where processes share memory by handle, which is on CUDA. On the CPU it ends the run, at the first weight sync
(``BucketedWeightSender`` in verl/workers/rollout/vllm_rollout/bucketed_weight_transfer.py), so only there a bucket is refused.
"""

import functools
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from rlvr.launch import shapes
from rlvr.launch.settings import BYTES, MEBI

SHARED_MEMORY = "/dev/shm"
KEY = "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"


def weight_bucket(at_least: int, *, _root_: Any) -> int:
    """The OmegaConf resolver of ``${weight_bucket:N}``: N MiB, and never less than the model's largest tensor.

    N where the model is not known: then another check has named it, or nothing can be said before it is downloaded.
    """
    found = largest_sent(_root_)
    return int(at_least) if found is None else max(int(at_least), math.ceil(found[1] / MEBI))


def check(config: Any) -> Iterator[str]:
    """What would end a run on the CPU at its first weight sync: a bucket without room for a tensor, or without room itself."""
    if config.trainer.device != "cpu":
        return
    bucket = config.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes
    name, size = largest_sent(config) or ("", 0)
    if bucket * MEBI < size:
        yield (
            f"{KEY}={bucket} (MiB) cannot hold the model's largest tensor, {name} with {size / MEBI:.1f} MiB: set it to "
            f"{math.ceil(size / MEBI)} or more, or leave it out: machine=cpu takes it from the model"
        )
    replicas = config.trainer.n_gpus_per_node
    free = shutil.disk_usage(SHARED_MEMORY).free
    if replicas * bucket * MEBI > free:
        yield (
            f"{KEY}={bucket} (MiB): {replicas} of them do not fit into {SHARED_MEMORY}, which has {free // MEBI} MiB free; "
            "docker run --shm-size=2g, or --ipc=host"
        )


def largest_sent(config: Any) -> tuple[str, int] | None:
    """Name and bytes of the largest tensor that a weight sync sends; None where the model is not known."""
    try:
        fields, _ = shapes.find_config(config.actor_rollout_ref.model.path)
        name, elements = largest_tensor(json.dumps(fields, sort_keys=True))
        return name, elements * BYTES[config.actor_rollout_ref.actor.fsdp_config.model_dtype]
    # Of a config.json that is none transformers raises whatever it meets first; the run will name what is wrong with it.
    except Exception:  # noqa: BLE001
        return None


@functools.cache
def largest_tensor(fields: str) -> tuple[str, int]:
    """Name and elements of the largest tensor of the model that ``config.json`` describes, built by transformers without memory.

    Raises:
        KeyError: if the fields name no kind of model.
        ValueError: if transformers does not know it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    known: Mapping[str, Any] = json.loads(fields) or {}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**{"model_type": known["model_type"], **known}))
    return max(((name, tensor.numel()) for name, tensor in model.state_dict().items()), key=lambda one: one[1])
