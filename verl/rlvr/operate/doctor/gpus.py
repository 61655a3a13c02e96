"""GPUs and their driver, as nvidia-smi lists them."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.operate.doctor import Finding, green, red, yellow

QUERY = "index,name,memory.total,memory.used,driver_version"


@dataclass(frozen=True)
class Gpu:
    """Memory in MiB."""

    index: int
    name: str
    memory_total: int
    memory_used: int
    driver: str


@dataclass(frozen=True)
class Driver:
    """``cuda``: the newest that the driver runs, (major, minor), None if it does not say. ``error``: why it lists nothing."""

    gpus: tuple[Gpu, ...] = ()
    cuda: tuple[int, int] | None = None
    error: str = ""


def ask() -> Driver | None:
    """None without nvidia-smi."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
        header = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=60).stdout
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        return Driver(error="nvidia-smi hangs")
    if listed.returncode:
        return Driver(error=" ".join((listed.stdout + listed.stderr).split()))
    return parse(listed.stdout, header)


def parse(listed: str, header: str) -> Driver:
    """From the outputs of nvidia-smi with a query and without."""
    gpus = []
    for line in listed.splitlines():
        index, name, total, used, driver = (word.strip() for word in line.split(","))
        # Some cards (unified memory, MIG) do not say: 0
        mib = {size: int(size) if size.isdigit() else 0 for size in (total, used)}
        gpus.append(Gpu(int(index), name, mib[total], mib[used], driver))
    cuda = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", header)
    return Driver(tuple(gpus), (int(cuda[1]), int(cuda[2])) if cuda else None)


def check(driver: Driver | None, wanted: int | None) -> Iterator[Finding]:
    """``wanted``: GPUs that the run takes on this machine; None when it runs on the CPU."""
    if wanted is None:
        yield green("gpus", "not needed: the run is on the CPU")
        return
    if driver is None or driver.error or not driver.gpus:
        message = "no nvidia-smi" if driver is None else driver.error or "no GPU is listed"
        yield red(
            "gpus", message, "install NVIDIA's driver (container: docker run --gpus all), or run with machine=cpu"
        )
        return
    kinds = sorted({f"{gpu.name} ({gpu.memory_total / 1024:.0f} GiB)" for gpu in driver.gpus})
    cuda = f", CUDA up to {driver.cuda[0]}.{driver.cuda[1]}" if driver.cuda else ""
    text = f"{len(driver.gpus)} × {', '.join(kinds)}, driver {driver.gpus[0].driver}{cuda}"
    if len(driver.gpus) < wanted:
        yield red("gpus", f"{text}, but the run wants {wanted}", f"trainer.n_gpus_per_node={len(driver.gpus)}")
    else:
        yield green("gpus", text)
    if len(kinds) > 1:
        yield yellow(
            "gpus",
            "they are not alike: the smallest sets the pace and the memory",
            "CUDA_VISIBLE_DEVICES=… of one kind",
        )
    busy = [gpu for gpu in driver.gpus if gpu.memory_used > 0.05 * gpu.memory_total]
    if busy:
        used = ", ".join(f"GPU {gpu.index} {gpu.memory_used / 1024:.1f} GiB" for gpu in busy)
        yield yellow(
            "gpus", f"memory is in use already: {used}", "nvidia-smi lists the processes; end those that are yours"
        )
