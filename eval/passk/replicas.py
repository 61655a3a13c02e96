"""A fleet of replicas on this machine: one process each, with GPUs of its own.

Each replica has its own pipe: whoever dies, parent or replica, the others see the pipe close and stop. Deliberately left out:
replicas that come later, and starting one again (:mod:`passk.ray_replicas` does); on one machine the same command is as good.
"""

import multiprocessing
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from queue import Empty, SimpleQueue
from typing import Any

from passk.engine import Answers, Engine, EngineSettings, Request
from passk.sampling import Event, MakeEngine, Ready, ReplicaDied, Report


class Worker:
    """An engine that gets its work from elsewhere, and what it says about it."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name, self.engine = name, engine
        self._given = 0

    def add(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._given += request.samples
            self.engine.add(request)

    def ready(self) -> Ready:
        return Ready(self.name, self.engine.at_once, self.engine.cache_tokens)

    def report(self, answers: Sequence[Answers]) -> Report:
        return Report(self.name, self._given - self.engine.unfinished_samples, answers)


class Processes:
    """Replicas in processes of their own; the first that dies ends the run."""

    def __init__(self, make_engine: MakeEngine, settings: EngineSettings, count: int) -> None:
        context = multiprocessing.get_context("spawn")  # neither CUDA nor threads survive a fork
        self._processes: dict[Connection, Any] = {}
        self._pipes: dict[str, Connection] = {}
        for rank in range(count):
            here, there = context.Pipe()
            own = replace(settings, seed=settings.seed + rank)
            arguments = (str(rank), there, make_engine, own, gpus_of(rank, settings))
            process = context.Process(target=_replica, args=arguments)
            process.start()
            there.close()
            self._processes[here] = process
            self._pipes[str(rank)] = here

    def send(self, replica: str, requests: Sequence[Request]) -> None:
        try:
            self._pipes[replica].send(requests)
        except (BrokenPipeError, ConnectionResetError):
            raise self._died(self._pipes[replica]) from None

    def wait(self) -> list[Event]:
        events: list[Event] = []
        for pipe in [pipe for pipe in wait(list(self._processes)) if isinstance(pipe, Connection)]:
            try:
                events.append(pipe.recv())
            except (EOFError, ConnectionResetError):
                raise self._died(pipe) from None
        return events

    def _died(self, pipe: Connection) -> ReplicaDied:
        process = self._processes[pipe]
        process.join(timeout=10)
        return ReplicaDied(f"an engine process ended with exit code {process.exitcode}; its own message is above")

    def close(self) -> None:
        for pipe in self._processes:
            pipe.close()
        for process in self._processes.values():
            process.join(timeout=30)
            process.kill()


def gpus_of(rank: int, settings: EngineSettings) -> str:
    """The CUDA_VISIBLE_DEVICES of a replica, out of those that this process may use."""
    size = settings.tensor_parallel
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    mine = range(rank * size, (rank + 1) * size)
    names: Sequence[Any] = visible.split(",") if visible else range(mine.stop)
    return ",".join(str(names[index]) for index in mine)


def _replica(name: str, pipe: Connection, make_engine: MakeEngine, settings: EngineSettings, gpus: str) -> None:
    """A replica's process: ends when the parent closes the pipe, or is gone."""
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    given: SimpleQueue[list[Request] | None] = SimpleQueue()
    # A thread reads, so that parent and replica never both wait for the other to read what they send.
    threading.Thread(target=_read, args=(pipe, given), daemon=True).start()
    worker = Worker(name, make_engine(settings))
    try:
        pipe.send(worker.ready())
        said = 0
        while True:
            while (requests := _next(given, wait=not worker.engine.unfinished)) != []:
                if requests is None:
                    return
                worker.add(requests)
            report = worker.report(worker.engine.step())
            if report.answers or report.sequences > said:
                pipe.send(report)
                said = report.sequences
    except (BrokenPipeError, ConnectionResetError):
        return


def _read(pipe: Connection, given: "SimpleQueue[list[Request] | None]") -> None:
    try:
        while True:
            given.put(pipe.recv())
    except (EOFError, OSError):
        given.put(None)


def _next(given: "SimpleQueue[list[Request] | None]", wait: bool) -> list[Request] | None:
    """What the parent sent; an empty list where there is nothing to wait for, None when the pipe is closed."""
    try:
        return given.get(block=wait)
    except Empty:
        return []
