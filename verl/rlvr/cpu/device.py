"""A ``torch.cuda``-like namespace over the CPU: the names that verl calls on ``get_torch_device()``.

What has no meaning on a CPU does nothing; memory figures are the resident size of the process. Names that are not here come
from ``torch.cpu`` (``Stream``, ``Event``, ``current_stream`` …).
"""

from typing import Any

import psutil
import torch


def is_available() -> bool:
    return True


def is_initialized() -> bool:
    return True


def device_count() -> int:
    return 1


def current_device() -> str:
    return "cpu"


def set_device(device: Any) -> None:
    pass


def synchronize(device: Any = None) -> None:
    pass


def empty_cache() -> None:
    pass


def ipc_collect() -> None:
    pass


def get_device_name(device: Any = None) -> str:
    return "cpu"


def memory_allocated(device: Any = None) -> int:
    return psutil.Process().memory_info().rss


memory_reserved = memory_allocated
max_memory_allocated = memory_allocated
max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    pass


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes of the machine."""
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def get_rng_state(device: Any = None) -> torch.Tensor:
    return torch.get_rng_state()


def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
    torch.set_rng_state(state)


def manual_seed(seed: int) -> None:
    torch.manual_seed(seed)


manual_seed_all = manual_seed


def __getattr__(name: str) -> Any:
    return getattr(torch.cpu, name)
