"""Worker processes that can be killed: hard deadline in processor time, limited memory, replaced when they hang or die.

Workers are separate programs that speak JSON over pipes (:mod:`rlvr.verify.worker`), not forks of the caller: they start the
same from the main thread, any other thread, an asyncio loop or a Ray actor, with any multiprocessing start method, inherit
neither locks nor CUDA, and end with the caller however it ends. Why not pebble: its workers are forks of the caller, or re-import
the caller's ``__main__``, and a killed one imports sympy again (seconds) before the next verdict.
"""

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.verify.policy import Policy
from rlvr.verify.verdict import TIMEOUT

START = 120.0  # seconds for a worker to import its libraries, on a busy machine
GRACE = 0.15  # seconds for a worker to say that its patience is at an end
PATIENCE = 10.0  # a verdict may take so many times its deadline by the clock: other programs want the processor too
ATTEMPTS = 3  # a worker that was killed from outside costs no verdict


@dataclass(frozen=True)
class Reply:
    """What a worker said; ``error`` is ``timeout`` or ``error: …``."""

    correct: bool = False
    layer: str = "symbolic"
    error: str | None = None
    seconds: float | None = None  # by the clock, without waiting for the worker to be free or started


class WorkerDied(Exception):
    """The worker process is gone."""


class Pool:
    """``workers`` processes, started when first needed. Safe to share between threads; each fork of the caller gets its own.

    ``deadline`` is in seconds of a worker's processor time, and ``PATIENCE`` times as many by the clock. ``work`` is a name of
    :data:`rlvr.verify.worker.WORK`.
    """

    def __init__(self, workers: int = 2, deadline: float = 2.0, work: str = "mathematics") -> None:
        if workers < 1 or deadline <= 0:
            raise ValueError(f"workers={workers}, deadline={deadline}: both must be positive")
        self.workers = workers
        self.deadline = deadline
        self.work = work
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._all: list[_Worker] = []
        for _ in range(self.workers):
            self._all.append(_Worker(self.work))
            self._idle.put(self._all[-1])

    def decide(self, gold: str, prediction: str, policy: Policy) -> Reply:
        """Whether two answers in mathematics are equal."""
        return self.ask(
            {"gold": gold, "prediction": prediction, "extraction": policy.extraction, "accept": policy.accept}
        )

    def ask(self, request: Mapping[str, Any]) -> Reply:
        """Never raises for anything that an answer, or a killed worker, can cause."""
        if self._owner != os.getpid():
            self._reset()
        request = {**request, "deadline": self.deadline, "patience": self.deadline * PATIENCE}
        worker = self._idle.get()
        try:
            for _ in range(ATTEMPTS):
                try:
                    return worker.ask(request)
                except WorkerDied:
                    worker.stop()
            return Reply(error=f"error: {ATTEMPTS} workers died")
        finally:
            self._idle.put(worker)

    def start(self) -> None:
        """Start every worker now, so that no verdict waits for one."""
        with ThreadPoolExecutor(self.workers) as threads:
            list(threads.map(_Worker.start, self._all))

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._all if worker.process is not None]

    def close(self) -> None:
        if self._owner == os.getpid():
            for worker in self._all:
                worker.stop()


@dataclass
class _Worker:
    """One process, used by one thread at a time."""

    work: str
    process: subprocess.Popen[bytes] | None = None
    asked: int = 0
    buffer: bytes = field(default=b"")

    def start(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rlvr.verify.worker", self.work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            self._read(START)  # that it is ready
        except TimeoutError as error:
            raise WorkerDied(f"not ready in {START} s") from error

    def ask(self, request: dict[str, Any]) -> Reply:
        self.start()
        assert self.process is not None and self.process.stdin is not None
        self.asked += 1
        started = time.perf_counter()
        try:
            self.process.stdin.write((json.dumps({**request, "id": self.asked}) + "\n").encode())
            self.process.stdin.flush()
        except OSError as error:
            raise WorkerDied(str(error)) from error
        try:
            reply = self._read(request["patience"] + GRACE)
        except TimeoutError:
            self.stop()
            return Reply(error=TIMEOUT, seconds=time.perf_counter() - started)
        if reply.get("error") == "died":
            raise WorkerDied("its child died")
        reply.pop("id")
        return Reply(**reply, seconds=time.perf_counter() - started)

    def _read(self, seconds: float) -> dict[str, Any]:
        """The next line.

        Raises:
            TimeoutError: if it does not come in time.
            WorkerDied: if it never will.
        """
        assert self.process is not None and self.process.stdout is not None
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                raise WorkerDied("end of its output")
            self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def stop(self) -> None:
        """Kill the process and, by the end of its pipe, its child."""
        process, self.process, self.buffer = self.process, None, b""
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        process.wait()
