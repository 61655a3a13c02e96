"""How training processes begin: the port where they meet, the time limit of their collectives, and the way of weights that live
in main memory.

Installed by :mod:`rlvr.plugin`. Deliberately left out: everything after the start.
"""

import random
from typing import Any

import torch

# torch's own 600 s are less than rank 0 may take to write a 15 GB folder to a slow disk, while the others wait for it. A process
# that died is found by the watchdog, not by this.
COLLECTIVE_TIMEOUT_S = 3600

# Above Ray's own ports (10002 to 19999), below Kubernetes' (30000) and those that the kernel gives to any connection (32768).
MEETING_PORTS = range(20_000, 30_000)
TRIES = 200


def patch_master_port(ray_workers: Any) -> None:
    """verl asks the kernel for a free port and lets go of it; rank 0 listens there only when its process has been started.

    In these seconds, tens of them on a busy machine, the kernel gives the port to any connection of any process, and the run ends
    with EADDRINUSE. It gives none of :data:`MEETING_PORTS`; that the search begins anywhere keeps runs on one node apart.
    """
    worker_group = ray_workers.RayWorkerGroup
    upstream = worker_group._get_master_addr_port

    def find(self: Any, pg: Any, bundle_index: int = 0, master_port_range: list[int] | None = None) -> None:
        first = random.SystemRandom().randrange(
            MEETING_PORTS.start, MEETING_PORTS.stop - TRIES
        )  # a seeded run has no seeded port
        upstream(self, pg, bundle_index, master_port_range or [first, first + TRIES])

    worker_group._get_master_addr_port = find


def patch_timeout(distributed: Any) -> None:
    """verl has a setting for the time limit and does not read it."""
    upstream = distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        upstream(timeout_second or COLLECTIVE_TIMEOUT_S, backend)

    distributed.initialize_global_process_group_ray = initialize


def patch_loading(fsdp_engine: Any) -> None:
    """verl moves a whole model to the GPU and back, also one that is in main memory because it does not fit there.

    With one process there is nobody to send weights to: they are where they belong already.
    """
    upstream = fsdp_engine.fsdp2_load_full_state_dict

    def load(model: torch.nn.Module, full_state: dict, device_mesh: Any = None, cpu_offload: Any = None) -> None:
        if cpu_offload is None or torch.distributed.get_world_size() > 1:
            upstream(model, full_state, device_mesh, cpu_offload)
            return
        for buffer in model.buffers():  # of no FSDP module, and needed where the layers are computed
            buffer.data = buffer.data.to(fsdp_engine.get_device_id())

    fsdp_engine.fsdp2_load_full_state_dict = load
