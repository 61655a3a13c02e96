"""How many CPUs to tell Ray of (``ray_kwargs.ray_init.num_cpus``): those that this process may use, not those of the host.

    python3 -m rlvr.launch.cpus GPUS

Left to itself Ray counts the host's cores, and on a large host or in a container it seems frozen after "Started a local Ray
instance". Ray only keeps books with the number: verl books a few CPUs for each GPU whatever the machine has, so it is never below
that, and never far above it.
"""

import sys

from rlvr import machine


def for_ray(gpus: int, allowed_cpus: int) -> int:
    """CPUs to tell Ray of.

    verl books three for each GPU, and one for each of its rollout, reward and storage workers (8 each by default).
    """
    needed = 8 + 8 * gpus
    return max(needed, min(allowed_cpus, 2 * needed))


if __name__ == "__main__":
    print(for_ray(int(sys.argv[1]), machine.cores()))
