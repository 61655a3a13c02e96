"""A stand-in for NVIDIA's management library: eight H100, for the tests in the GPU set of packages on a machine without a GPU.

vLLM's CUDA build asks it what there is before it builds any configuration. Installed by tests/conftest.py where torch has CUDA and
sees no GPU; without it the same tests would check vLLM's CPU half, which no GPU run uses. ``make test-gpu-set``.
"""

import types
from typing import Any

GPUS = 8
MEMORY = 80 * 2**30


def needed() -> bool:
    import torch

    return torch.version.cuda is not None and not torch.cuda.is_available()


def install() -> None:
    """Replace the functions of vLLM's copy of pynvml that its configuration asks."""
    from vllm.third_party import pynvml

    def answer(value: Any) -> Any:
        return lambda *_: value

    answers = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": GPUS,
        "nvmlDeviceGetHandleByIndex": 0,
        "nvmlDeviceGetCudaComputeCapability": (9, 0),
        "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
        "nvmlDeviceGetUUID": "GPU-0",
        "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=MEMORY, free=MEMORY, used=0),
        "nvmlDeviceGetP2PStatus": pynvml.NVML_P2P_STATUS_OK,
        "nvmlDeviceGetNumaNodeId": 0,
    }
    for name, value in answers.items():
        setattr(pynvml, name, answer(value))
