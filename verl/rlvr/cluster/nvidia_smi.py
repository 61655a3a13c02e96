"""The GPUs of this machine and their driver, as nvidia-smi lists them."""

import re
import subprocess
from dataclasses import dataclass

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
