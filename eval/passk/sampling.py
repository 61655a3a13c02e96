"""Keep engines busy: in this process, or one process a replica.

The engine always has ``in_flight`` questions to work on; it is refilled as they finish, so it never drains at the end of a
batch. With several GPUs, tensor parallelism is as small as the model allows and the rest are replicas. Each replica has its
own pipe: whoever dies, parent or replica, the others see the pipe close and stop. Deliberately left out: several machines.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any

from passk.engine import Answers, Engine, EngineSettings

WEIGHTS_SHARE = 0.6  # of a GPU's memory; the rest is for the KV cache

MakeEngine = Callable[[EngineSettings], Engine]
Request = tuple[Any, str]  # (key, prompt)


class ReplicaDied(RuntimeError):
    """A replica's process ended before its work; says which and how."""


def split(num_gpus: int, weight_bytes: int, gpu_bytes: int, attention_heads: int) -> tuple[int, int]:
    """(tensor parallel, replicas) whose product is ``num_gpus``.

    Raises:
        ValueError: if the weights do not fit however they are split.
    """
    for tensor_parallel in range(1, num_gpus + 1):
        if num_gpus % tensor_parallel or attention_heads % tensor_parallel:
            continue
        if weight_bytes / tensor_parallel <= WEIGHTS_SHARE * gpu_bytes:
            return tensor_parallel, num_gpus // tensor_parallel
    raise ValueError(
        f"--num_gpus {num_gpus}: {weight_bytes / 2**30:.0f} GiB of weights, {attention_heads} attention heads, do not fit on GPUs "
        f"of {gpu_bytes / 2**30:.0f} GiB; use more"
    )


def sample(engine: Engine, requests: Iterator[Request], in_flight: int) -> Iterator[Answers]:
    """Answers as they are finished."""
    while True:
        for key, prompt in islice(requests, in_flight - engine.unfinished):
            engine.add(key, prompt)
        if not engine.unfinished:
            return
        yield from engine.step()


def sample_on_replicas(
    make_engine: MakeEngine, settings: EngineSettings, replicas: int, requests: Iterator[Request], in_flight: int
) -> Iterator[Answers]:
    """Answers as any replica finishes them; each replica has its share of ``in_flight``.

    Raises:
        ReplicaDied: if a replica ends early; the others are stopped.
    """
    context = multiprocessing.get_context("spawn")  # neither CUDA nor threads survive a fork
    pipes: dict[Connection, Any] = {}
    try:
        for rank in range(replicas):
            here, there = context.Pipe()
            own = replace(settings, seed=settings.seed + rank)
            process = context.Process(target=_replica, args=(there, make_engine, own, gpus_of(rank, settings)))
            process.start()
            there.close()
            pipes[here] = process
        yield from _deal(pipes, requests, max(1, in_flight // replicas))
    finally:
        for pipe, process in pipes.items():
            pipe.close()
            process.join(timeout=30)
            process.kill()


def gpus_of(rank: int, settings: EngineSettings) -> str:
    """The CUDA_VISIBLE_DEVICES of a replica, out of those that this process may use."""
    size = settings.tensor_parallel
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    mine = range(rank * size, (rank + 1) * size)
    names: Sequence[Any] = visible.split(",") if visible else range(mine.stop)
    return ",".join(str(names[index]) for index in mine)


def _deal(pipes: dict[Connection, Any], requests: Iterator[Request], share: int) -> Iterator[Answers]:
    under_way = 0
    for _ in range(share):  # one each in turn, so that a short list is spread out
        for pipe, request in zip(pipes, islice(requests, len(pipes))):
            pipe.send(request)
            under_way += 1
    while under_way:
        for pipe in [pipe for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]:
            try:
                answers = pipe.recv()
            except (EOFError, ConnectionResetError):
                pipes[pipe].join(timeout=10)
                raise ReplicaDied(
                    f"an engine process ended with exit code {pipes[pipe].exitcode}; its own message is above"
                ) from None
            under_way -= 1
            for request in islice(requests, 1):
                pipe.send(request)
                under_way += 1
            yield answers


def _replica(pipe: Connection, make_engine: MakeEngine, settings: EngineSettings, gpus: str) -> None:
    """A replica's process: ends when the parent closes the pipe, or is gone."""
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    engine = make_engine(settings)
    try:
        while True:
            while pipe.poll(None if not engine.unfinished else 0):
                engine.add(*pipe.recv())
            for answers in engine.step():
                pipe.send(answers)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
