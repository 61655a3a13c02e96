"""How many CPUs to tell Ray of (``ray_kwargs.ray_init.num_cpus``): those that this process may use, not those of the host.

    python3 -m rlvr.cluster.cpus GPUS

Left to itself Ray counts the host's cores, and on a large host or in a container it seems frozen after "Started a local Ray
instance". Ray only keeps books with the number: verl books a few CPUs for each GPU whatever the machine has, so it is never below
that, and never far above it.
"""

import os
import sys
from typing import Any

from rlvr import machine

WORKER_NICENESS = "RAY_worker_niceness"  # read by Ray from the environment of what starts it
MOST_THREADS = 32  # Adam in main memory is bound by the memory's speed long before


def for_ray(gpus: int, allowed_cpus: int) -> int:
    """CPUs to tell Ray of.

    verl books three for each GPU, and one for each of its rollout, reward and storage workers (8 each by default).
    """
    needed = 8 + 8 * gpus
    return max(needed, min(allowed_cpus, 2 * needed))


def keep_priority() -> None:
    """Have the workers of a Ray that this process starts run at its own priority, unless the environment says another.

    Ray lowers it: beside a program that is busy on a core a worker waits for minutes to start, and the threads of an update, which
    wait for each other, get as little of it as the one that shares that core.
    """
    os.environ.setdefault(WORKER_NICENESS, "0")


def threads(*, _root_: Any) -> str:
    """The OmegaConf resolver of ``${threads:}``: OMP_NUM_THREADS of a process, the cores shared among the GPUs of this machine.

    Ray sets it to 1 where nobody does, and then one thread adds up the gradients and steps Adam in main memory.
    """
    share = machine.cores() // int(_root_.trainer.n_gpus_per_node)
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, min(share, MOST_THREADS)))


if __name__ == "__main__":
    print(for_ray(int(sys.argv[1]), machine.cores()))
