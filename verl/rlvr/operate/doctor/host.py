"""The machine: Python, cores, memory, shared memory, file descriptors, disk. Container limits count, not the host's size."""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rlvr import machine
from rlvr.cluster.cpus import for_ray
from rlvr.operate.doctor import Finding, green, red, yellow

GIB = 2**30
# verl reserves 3 logical CPUs of Ray's for each GPU, and its trainer one.
RESERVED_A_GPU = 3
MANY_CORES = 64  # Ray starts an idle worker process a CPU


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    text = ".".join(map(str, version))
    if (3, 10) <= version < (3, 13):
        yield green("python", text)
    else:
        yield red("python", text, "use 3.10, 3.11 or 3.12: PYTHON=python3.11 make install")


def check_ray_cpus(
    host_cpus: int, allowed_cpus: int, ray_default: int, num_cpus: int | None, gpus: int
) -> Iterator[Finding]:
    """Ray's CPU count against what the container may use.

    Args:
        host_cpus: the machine's.
        allowed_cpus: what affinity and the container's quota leave of them.
        ray_default: what Ray would count by itself.
        num_cpus: ``ray_kwargs.ray_init.num_cpus`` of the run; None when it does not say.
        gpus: ``trainer.n_gpus_per_node``.
    """
    needed = RESERVED_A_GPU * gpus + 1
    limit = f"{allowed_cpus} of {host_cpus} cores may be used"
    setting = f"ray_kwargs.ray_init.num_cpus={for_ray(gpus, allowed_cpus)}, which the launchers set by themselves"
    if num_cpus is not None and num_cpus < needed:
        yield red(
            "ray cpus",
            f"num_cpus={num_cpus}, but verl reserves {needed} for {gpus} GPUs: the run would wait forever",
            setting,
        )
    elif num_cpus is not None:
        yield green("ray cpus", f"{num_cpus} logical ({limit})")
    elif ray_default > allowed_cpus:
        message = f"Ray would start {ray_default} workers, {limit}: runs freeze after 'Started a local Ray instance'"
        yield red("ray cpus", message, setting)
    elif ray_default > MANY_CORES:
        yield yellow("ray cpus", f"Ray would start {ray_default} idle workers at once", setting)
    elif ray_default < needed:
        yield red("ray cpus", f"Ray counts {ray_default}, but verl reserves {needed} for {gpus} GPUs", setting)
    else:
        yield green("ray cpus", f"{ray_default} ({limit})")


def check_memory(total: int, on_gpu: bool) -> Iterator[Finding]:
    text, wanted = f"{total / GIB:.0f} GiB", 64 if on_gpu else 8
    if total >= wanted * GIB:
        yield green("memory", text)
    else:
        yield yellow(
            "memory",
            text,
            f"{wanted} GiB or more: Ray kills workers when memory is full (container: docker run --memory)",
        )


def check_shared_memory(free: int, on_gpu: bool) -> Iterator[Finding]:
    text, wanted = f"{free / GIB:.1f} GiB free in /dev/shm", 16 if on_gpu else 2
    remedy = "docker run --shm-size=64g (or --ipc=host); NCCL and Ray's object store live there"
    if free < GIB:
        yield red("shared memory", text, remedy) if on_gpu else yellow("shared memory", text, remedy)
    elif free < wanted * GIB:
        yield yellow("shared memory", text, remedy)
    else:
        yield green("shared memory", text)


def check_file_descriptors(soft: int, hard: int, on_gpu: bool) -> Iterator[Finding]:
    text, remedy = f"{soft} (at most {hard})", "ulimit -n 65536 before the launcher (docker run --ulimit nofile=65536)"
    if soft < 1024:
        yield red("file descriptors", text, remedy)
    elif soft < (65536 if on_gpu else 4096):
        yield yellow("file descriptors", text, remedy)
    else:
        yield green("file descriptors", text)


def check_disk(name: str, folder: Path, free: int, total: int) -> Iterator[Finding]:
    text = f"{free / GIB:.0f} GiB free for {folder}"
    remedy = "point it to a larger disk: trainer.default_local_dir for checkpoints, RAY_TMPDIR for Ray's files"
    if free < 2 * GIB:
        yield red(name, text, remedy)
    elif free < 20 * GIB or free < 0.05 * total:  # Ray refuses to spill to a disk that is 95 % full
        yield yellow(name, text, remedy)
    else:
        yield green(name, text)


def check(on_gpu: bool, run_folder: Path) -> Iterator[Finding]:
    """Everything of this file but Ray's CPU count, which depends on the run."""
    yield from check_python()
    yield from check_memory(machine.total_memory(), on_gpu)
    yield from check_shared_memory(shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0, on_gpu)
    yield from check_file_descriptors(*resource.getrlimit(resource.RLIMIT_NOFILE), on_gpu)
    for name, folder in (
        ("disk", run_folder),
        ("temporary disk", Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()))),
    ):
        usage = shutil.disk_usage(machine.existing(folder))
        yield from check_disk(name, folder, usage.free, usage.total)
