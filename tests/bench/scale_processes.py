"""The processes of a run of :mod:`bench_scale`: what each is for, its processor seconds and its memory."""

import threading
from collections import defaultdict
from pathlib import Path

import psutil

# In the title that Ray gives to an actor's process -> what it is called. The first that is found counts.
NAMES = {
    "ray::TaskRunner": "trainer",
    "ray::PackedStorageUnit": "storage",
    "ray::TransferQueueController": "controller",
    "ray::BatchedRolloutWorker": "rollout workers",
    "ray::WorkerDict": "training worker",
    "ray::BatchedVLLMServer": "rollout server",
}
OTHERS = "Ray and others"
# The trainer, which is verl's driver of a step, and TransferQueue; Ray's own processes hold its shared memory.
DATA_PLANE = ("trainer", "storage", "controller")


def name_of(title: str) -> str:
    return next((name for part, name in NAMES.items() if part in title), OTHERS)


def of_run(driver: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(driver)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def title_of(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def cpu_seconds(driver: int) -> dict[str, float]:
    """Processor seconds by name, of the processes that live."""
    seconds: dict[str, float] = defaultdict(float)
    for process in of_run(driver):
        try:
            times = process.cpu_times()
            seconds[name_of(title_of(process))] += times.user + times.system
        except psutil.Error:  # it ended meanwhile
            continue
    return dict(seconds)


def memory(driver: int) -> dict[str, int]:
    """Bytes by name: proportional set sizes, in which memory that processes share counts once."""
    sizes: dict[str, int] = defaultdict(int)
    for process in of_run(driver):
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            name = name_of(title_of(process))
        except (psutil.Error, OSError):
            continue
        sizes[name] += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return dict(sizes)


class PeakMemory:
    """The most of every name, of all together and of the trainer with TransferQueue, while a run lasts; looks twice a second."""

    def __init__(self, driver: int):
        self.driver = driver
        self.peaks: dict[str, int] = defaultdict(int)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.ended.wait(0.5):
            sizes = memory(self.driver)
            sizes |= {
                "all": sum(sizes.values()),
                "trainer and TransferQueue": sum(sizes.get(name, 0) for name in DATA_PLANE),
            }
            for name, size in sizes.items():
                self.peaks[name] = max(self.peaks[name], size)

    def stop(self) -> dict[str, int]:
        self.ended.set()
        self.thread.join()
        return dict(self.peaks)
