"""What this process may use of the machine, and what others use of it now. Limits of a container or a batch job count.

Deliberately left out: GPUs, and the host's size where a limit is smaller.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
RECLAIMABLE = ("inactive_file", "active_file")  # files in memory that the kernel gives up when memory is short


def cores(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """CPUs that affinity and quotas (cgroup v2, then v1) leave to this process; at least 1."""
    count: float = len(os.sched_getaffinity(0))
    for folder in _cgroups("cpu", cgroup, own):
        count = min(count, _quota_v2(folder / "cpu.max"), _quota_v1(folder))
    return max(1, math.floor(count))


def set_thread_waiting(environment: MutableMapping[str, str]) -> None:
    """How OpenMP's threads wait for each other, for a process that starts with ``environment`` or has not imported torch yet.

    They look for about 10 µs and then sleep. A thread that sleeps at once has to be woken for each of the thousands of small
    operations of a step; one that goes on looking keeps a core from the thread that it waits for, beside other programs for
    many times the work's time. ``OMP_WAIT_POLICY`` in the environment is left alone. The count is GNU's; others sleep at once.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment["OMP_WAIT_POLICY"] = "passive"
        environment.setdefault("GOMP_SPINCOUNT", "1000")


def existing(folder: Path) -> Path:
    """``folder``, or the nearest of the folders above it that is there."""
    folder = folder.absolute()
    return next(
        one for one in (folder, *folder.parents) if os.path.exists(one)
    )  # Path.exists raises without permission


def total_memory(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Bytes of main memory, or of the smallest limit where that is less."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _memory_limits(cgroup, own))])


def free_memory(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Bytes that programs may still take: files that are only kept in memory do not count as used."""
    left = (max(0, limit - used) for limit, used in _memory_limits(cgroup, own))
    return min([psutil.virtual_memory().available, *left])


def busy_cores(seconds: float = 0.5) -> float:
    """Cores of this process that are at work on average over the next ``seconds``, in which it waits; guests of the host count."""
    percent = psutil.cpu_percent(interval=seconds, percpu=True)
    return sum(percent[core] for core in os.sched_getaffinity(0)) / 100


def _cgroups(controller: str, cgroup: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's control group for ``cpu`` or ``memory``, and of those around it."""
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroup / controller if controllers else cgroup
        folder = root / path.lstrip("/")
        yield from (one for one in (folder, *folder.parents) if one.is_relative_to(root))


def _memory_limits(cgroup: Path, own: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of each control group that has a limit."""
    names = (("memory.max", "memory.current", ""), ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"))
    for folder in _cgroups("memory", cgroup, own):
        for limit_file, used_file, prefix in names:
            limit, used = (_number(folder / name) for name in (limit_file, used_file))
            if limit is not None and used is not None:
                pairs = (line.split() for line in _lines(folder / "memory.stat"))
                files = sum(int(value) for name, value in pairs if name in [prefix + one for one in RECLAIMABLE])
                yield limit, max(0, used - files)


def _quota_v2(file: Path) -> float:
    """CPUs in ``cpu.max`` ("<quota> <period>" in µs, or "max <period>")."""
    for line in _lines(file):
        quota, period = line.split()
        if quota != "max":
            return int(quota) / int(period)
    return math.inf


def _quota_v1(folder: Path) -> float:
    """CPUs in ``cpu.cfs_quota_us`` / ``cpu.cfs_period_us``; a quota of −1 is none."""
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else math.inf


def _number(file: Path) -> int | None:
    """The integer in a file; None where there is none ("max", or no such file)."""
    try:
        return int(next(iter(_lines(file)), ""))
    except ValueError:
        return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
