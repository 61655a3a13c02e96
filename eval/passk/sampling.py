"""Keep engines busy: one in this process, or a fleet of replicas that come and go.

One engine always has ``in_flight`` requests to work on; it is refilled as they finish, so it never drains at the end of a batch. A
replica of a fleet is given what it has room for and no more: what is dealt ahead to one cannot be done by another, and at the end
of a run that is what everybody waits for. What a replica that is gone has not answered is dealt again, first of all.

A fleet is one of processes (:mod:`passk.replicas`) or of Ray actors (:mod:`passk.ray_replicas`). Deliberately left out: engines.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol

from passk.engine import Answers, Engine, EngineSettings, Request

WEIGHTS_SHARE = 0.6  # of a GPU's memory; the rest is for the KV cache
SPARE = 0.25  # of the sequences that a replica works on at once: given ahead, so that it never waits for more

MakeEngine = Callable[[EngineSettings], Engine]


class ReplicaDied(RuntimeError):
    """No replica is left to do the work; says what became of the last one."""


class Ready(NamedTuple):
    """A replica has started: it works on ``sequences`` at once, as far as its cache of ``cache_tokens`` goes."""

    replica: str
    sequences: int
    cache_tokens: int


class Report(NamedTuple):
    """What a replica has done: ``sequences`` so far, those of requests that are not finished included, and new answers."""

    replica: str
    sequences: int
    answers: Sequence[Answers]


class Died(NamedTuple):
    """A replica is gone."""

    replica: str


Event = Ready | Report | Died


class Fleet(Protocol):
    """What :func:`deal` drives."""

    def send(self, replica: str, requests: Sequence[Request]) -> None:
        """Give requests to a replica; one that is gone is told by the next :meth:`wait`."""

    def wait(self) -> Sequence[Event]:
        """What has happened since the last call, at least one thing unless time has passed.

        Raises:
            ReplicaDied: if no replica is left and none will come.
        """

    def close(self) -> None:
        """End all replicas."""


def split(num_gpus: int, weight_bytes: int, gpu_bytes: int, attention_heads: int) -> tuple[int, int]:
    """(tensor parallel, replicas) whose product is ``num_gpus``.

    Raises:
        ValueError: if the weights do not fit however they are split.
    """
    sizes = [size for size in range(1, num_gpus + 1) if num_gpus % size == 0]
    size = tensor_parallel(sizes, weight_bytes, gpu_bytes, attention_heads)
    if size is None:
        raise ValueError(f"--num_gpus {num_gpus}: {_do_not_fit(weight_bytes, gpu_bytes, attention_heads)}; use more")
    return size, num_gpus // size


def size_in_node(most: int, weight_bytes: int, gpu_bytes: int, attention_heads: int) -> int:
    """The smallest tensor parallelism, of at most the ``most`` GPUs that one node has.

    Raises:
        ValueError: if the weights do not fit on a node.
    """
    size = tensor_parallel(range(1, most + 1), weight_bytes, gpu_bytes, attention_heads)
    if size is None:
        raise ValueError(f"{_do_not_fit(weight_bytes, gpu_bytes, attention_heads)}, {most} on a node")
    return size


def tensor_parallel(sizes: Iterable[int], weight_bytes: int, gpu_bytes: int, attention_heads: int) -> int | None:
    """The smallest of ``sizes`` that the weights fit on; None if there is none."""
    fitting = (
        size for size in sizes if attention_heads % size == 0 and weight_bytes / size <= WEIGHTS_SHARE * gpu_bytes
    )
    return next(fitting, None)


def _do_not_fit(weight_bytes: int, gpu_bytes: int, attention_heads: int) -> str:
    return (
        f"{weight_bytes / 2**30:.0f} GiB of weights, {attention_heads} attention heads, do not fit on GPUs of "
        f"{gpu_bytes / 2**30:.0f} GiB"
    )


def sample(engine: Engine, requests: Iterator[Request], in_flight: int) -> Iterator[Answers]:
    """Answers of one engine as they are finished."""
    while True:
        for request in islice(requests, in_flight - engine.unfinished):
            engine.add(request)
        if not engine.unfinished:
            return
        yield from engine.step()


@dataclass
class Load:
    """What a replica was given and has not answered."""

    ready: Ready
    given: int = 0  # sequences, like ``done``
    done: int = 0
    requests: dict[Any, Request] = field(default_factory=dict)

    def share(self, answer_tokens: float) -> float:
        """Sequences that it has left, as a share of those that it works on at once; they have so many tokens on average."""
        at_once = min(self.ready.sequences, self.ready.cache_tokens / answer_tokens)
        return (self.given - self.done) / max(1.0, at_once)


def deal(fleet: Fleet, requests: Iterable[Request], answer_tokens: float) -> Iterator[Answers]:
    """Answers as any replica finishes them; ends the fleet.

    Args:
        fleet: replicas that are ready, come and go.
        requests: what is asked.
        answer_tokens: a guess of the mean tokens of an answer, used until the first ones are there.

    Raises:
        ReplicaDied: if no replica is left.
    """
    queue = deque(requests)
    loads: dict[str, Load] = {}
    tokens, answered = 0, 0
    with closing(fleet):
        while True:
            _give(fleet, loads, queue, tokens / answered if answered else answer_tokens)
            if not queue and not any(load.requests for load in loads.values()):
                return
            for event in fleet.wait():
                if isinstance(event, Ready):
                    loads[event.replica] = Load(event)
                elif isinstance(event, Died):
                    if event.replica in loads:
                        queue.extendleft(loads.pop(event.replica).requests.values())
                else:
                    load = loads[event.replica]
                    load.done = event.sequences
                    for answers in event.answers:
                        del load.requests[answers.key]
                        tokens += sum(one.tokens for one in answers.generations)
                        answered += len(answers.generations)
                        yield answers


def _give(fleet: Fleet, loads: dict[str, Load], queue: deque[Request], answer_tokens: float) -> None:
    """Deal to whoever has least left, until all have enough."""
    dealt: dict[str, list[Request]] = {}
    while queue and loads:
        replica = min(loads, key=lambda name: loads[name].share(answer_tokens))
        load = loads[replica]
        if load.share(answer_tokens) >= 1 + SPARE:
            break
        request = queue.popleft()
        load.given += request.samples
        load.requests[request.key] = request
        dealt.setdefault(replica, []).append(request)
    for replica, given in dealt.items():
        fleet.send(replica, given)
