"""How many CPUs to tell Ray of (``ray_kwargs.ray_init.num_cpus``): those that this process may use, not those of the host.

    python3 -m rlvr.launch.cpus GPUS

Left to itself Ray counts the host's cores, and on a large host or in a container it seems frozen after "Started a local Ray
instance". Ray only keeps books with the number: verl books a few CPUs for each GPU whatever the machine has, so it is never below
that, and never far above it.
"""

import math
import os
import sys
from pathlib import Path


def for_ray(gpus: int, allowed_cpus: int) -> int:
    """CPUs to tell Ray of.

    verl books three for each GPU, and one for each of its rollout, reward and storage workers (8 each by default).
    """
    needed = 8 + 8 * gpus
    return max(needed, min(allowed_cpus, 2 * needed))


def allowed(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that affinity and the container's quota (cgroup v2, then v1) leave to this process."""
    count = len(os.sched_getaffinity(0))
    quota = _quota_v2(cgroup / "cpu.max") or _quota_v1(cgroup / "cpu")
    return max(1, min(count, math.floor(quota)) if quota else count)


def _quota_v2(file: Path) -> float | None:
    """CPUs in ``cpu.max`` ("<quota> <period>" in µs, or "max <period>")."""
    if not file.is_file():
        return None
    quota, period = file.read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    """CPUs in ``cpu.cfs_quota_us`` / ``cpu.cfs_period_us``; a quota of −1 is none."""
    quota, period = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
    if not (quota.is_file() and period.is_file()):
        return None
    microseconds = int(quota.read_text())
    return microseconds / int(period.read_text()) if microseconds > 0 else None


if __name__ == "__main__":
    print(for_ray(int(sys.argv[1]), allowed()))
