"""The places of verl that hard-code a GPU and have no hook; replaced here, on the CPU only.

Each must be replaced right after its module was imported, before others take it by name; :mod:`rlvr.plugin` sees to that.
"""

from typing import Any


def patch_process_group(distributed: Any) -> None:
    """verl builds ``cpu:gloo,<device>:<backend>``; on the CPU that names the device twice, which torch refuses."""
    upstream = distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        upstream(timeout_second, backend or "cpu:gloo")

    distributed.initialize_global_process_group_ray = initialize


def patch_offload(fsdp_engine: Any) -> None:
    """The reference model is offloaded "to the CPU" with pinned memory; here it is there already, and nothing can be pinned."""
    fsdp_engine.CPUOffloadPolicy = lambda pin_memory: None
