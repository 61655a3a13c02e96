"""What a process tree costs: :class:`Watch` of :mod:`bench_step`."""

import threading
import time
from pathlib import Path

import psutil


class Watch:
    """Processor seconds, peak memory and number of the processes below one, and when a file got its first line."""

    def __init__(self, pid: int, file: Path):
        self.root, self.file = psutil.Process(pid), file
        self.first_line = float("nan")
        self.peak_pss = 0
        self.cpu: dict[int, float] = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        tick = 0
        while not self.ended.wait(0.1):
            if self.first_line != self.first_line and self.file.is_file() and self.file.stat().st_size:
                self.first_line = time.time()
            if tick % 10 == 0:
                # The kernel adds up every page of the tree, a tenth of a second of it: seldom enough not to be a load itself.
                self._look(memory=tick % 50 == 0)
            tick += 1

    def _look(self, memory: bool) -> None:
        total = 0
        try:
            processes = [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                times = process.cpu_times()
                self.cpu[process.pid] = times.user + times.system
                if not memory:
                    continue
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            except (psutil.Error, OSError):  # it ended meanwhile
                continue
            total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        self.peak_pss = max(self.peak_pss, total)

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())

    @property
    def processes(self) -> int:
        return len(self.cpu)
