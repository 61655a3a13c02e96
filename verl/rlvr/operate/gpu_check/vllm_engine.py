"""A vLLM by itself, on either device."""

import os
from pathlib import Path
from typing import Any

# As the evaluation sets them: one process, nothing compiled, a KV cache out of the free memory.
CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCH_COMPILE_DISABLE": "1"}
CPU_ARGUMENTS = {"dtype": "float32", "enforce_eager": True, "worker_cls": "rlvr.cpu.worker.Worker"}


def make(folder: Path, device: str, **arguments: Any) -> Any:
    """An ``LLM``; in float32 on the CPU, in the model's own dtype on a GPU."""
    os.environ.update(CPU_ENVIRONMENT if device == "cpu" else {})
    from vllm import LLM

    of_device = CPU_ARGUMENTS if device == "cpu" else {"gpu_memory_utilization": 0.8}
    return LLM(str(folder), **(of_device | arguments))
