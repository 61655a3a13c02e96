"""A Hydra callback for the runs of ``gpu_check``: memory every 0.2 s with the phase that the trainer publishes, a JSON line each.

``{"at", "phase", "step", "gpu": bytes in use on each GPU, "processes": {pid: bytes}, "main": resident bytes of the run's processes,
"locked": pinned and locked bytes of the machine}``. Deliberately left out: what a phase should take, which is the estimate's.
"""

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import ray
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from rlvr.training import progress

EVERY_S = 0.2


class Recorder(Callback):
    """Starts with the job; a thread of the driver."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.ended = threading.Event()

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        threading.Thread(target=self._record, name="gpu-check-recorder", daemon=True).start()

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        self.ended.set()

    def _record(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        gpus = Gpus()
        with self.file.open("a") as output:
            while not self.ended.wait(EVERY_S):
                output.write(json.dumps(self.sample(gpus)) + "\n")
                output.flush()

    def sample(self, gpus: "Gpus") -> dict[str, Any]:
        status = None
        if ray.is_initialized():
            with contextlib.suppress(ray.exceptions.RpcError, RuntimeError):  # before a job, or while Ray shuts down
                status = progress.read_status()
        used, processes = gpus.look()
        return {
            "at": time.time(),
            "phase": (status or {}).get("phase", progress.START),
            "step": (status or {}).get("step", 0),
            "gpu": used,
            "processes": processes,
            "main": resident(),
            "locked": locked(),
        }


class Gpus:
    """Those of this machine; none where NVML finds none."""

    def __init__(self) -> None:
        self.nvml: Any = None
        self.handles: list[Any] = []
        with contextlib.suppress(ImportError):
            import pynvml

            with contextlib.suppress(pynvml.NVMLError):
                pynvml.nvmlInit()
                self.nvml = pynvml
                self.handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    def look(self) -> tuple[list[int], dict[str, int]]:
        """Bytes in use on each GPU, and of each process; a container may hide the processes."""
        used, processes = [], dict[str, int]()
        for handle in self.handles:
            used.append(int(self.nvml.nvmlDeviceGetMemoryInfo(handle).used))
            for process in self.nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                processes[str(process.pid)] = processes.get(str(process.pid), 0) + int(process.usedGpuMemory or 0)
        return used, processes


def resident() -> int:
    """Bytes of main memory of this process's descendants and itself, what they share counted once a process."""
    total = 0
    me = psutil.Process()
    for one in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += one.memory_info().rss
    return total


def locked() -> int:
    """Bytes that the machine cannot move or swap: pinned memory is among them."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Unevictable:"):
            return int(line.split()[1]) * 1024
    return 0
