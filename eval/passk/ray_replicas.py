"""A fleet of replicas on all nodes of the Ray cluster that ``RAY_ADDRESS`` names: one actor each.

    RAY_ADDRESS=10.0.0.1:6379 bash eval.sh

Where the cluster has GPUs, a replica takes as few of a node's as the weights need (tensor parallel inside the node), and all are
used, or ``--num_gpus`` of them; else each node has one replica on its cores. Nodes may join and leave meanwhile. A replica that
dies is started again where it was; the third time in a row that it dies without an answer its node is left out. The driver alone
writes. Deliberately left out: replicas over several nodes.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError
from tqdm import tqdm

from passk.engine import EngineSettings, Request
from passk.ray_cluster import Cluster, cluster_address, inspect, on, reason, room, unfit
from passk.replicas import Worker
from passk.sampling import Died, Event, MakeEngine, Ready, ReplicaDied, Report
from rlvr import machine
from rlvr.cluster.nodes import Node

LOOK_S = 5.0  # between two looks at the nodes
REPORT_S = 0.5  # a replica that has finished nothing says so
SAY_S = 60.0  # between two lines while no replica is ready
STARTS_WITHOUT_WORK = 3  # then a node is left out


class Replica:
    """An engine on a node; works while it is called."""

    def start(self, name: str, make_engine: MakeEngine, settings: EngineSettings) -> Ready:
        self._worker = Worker(name, make_engine(settings))
        return self._worker.ready()

    def work(self, requests: Sequence[Request]) -> tuple[Report, bool]:
        """Take requests and go on until one is finished, or half a second; returns whether some are left, too."""
        worker = self._worker
        worker.add(requests)
        until = time.monotonic() + REPORT_S
        answers = worker.engine.step() if worker.engine.unfinished else []
        while not answers and worker.engine.unfinished and time.monotonic() < until:
            answers = worker.engine.step()
        return worker.report(answers), worker.engine.unfinished > 0


REPLICA: Any = ray.remote(max_restarts=0, max_task_retries=0)(Replica)  # a dead one is started by RayReplicas


@dataclass
class Seat:
    """A replica as the driver sees it: what it is called to do, and what it will be told next."""

    node: Node
    actor: Any
    call: Any  # the reference to its answer; None while it has nothing to do
    to_send: list[Request] = field(default_factory=list)
    ready: bool = False
    busy: bool = False
    worked: bool = False


class RayReplicas:
    """Replicas in Ray actors, as many as the nodes of the moment have room for."""

    def __init__(
        self, cluster: Cluster, make_engine: MakeEngine, settings: EngineSettings, facts: dict[str, Any]
    ) -> None:
        """Start replicas of a model.

        Args:
            cluster: where.
            make_engine: known on every node.
            settings: of the engines; how many GPUs each takes is found here.
            facts: of the model, from :func:`passk.models.describe`.

        Raises:
            ValueError: if a node lacks the model, has other versions or too small GPUs, or all is in use.
        """
        model = os.path.abspath(settings.model) if os.path.isdir(settings.model) else settings.model
        size, self._cores = cluster.prepare(model, facts)
        self._cluster, self._make_engine, self._facts = cluster, make_engine, facts
        self._settings = replace(settings, model=model, tensor_parallel=size)
        self._most = None if cluster.num_gpus is None else cluster.num_gpus // size
        self._idle_starts: Counter[str] = Counter()  # a node's replicas in a row that died without an answer
        self._left_out: set[str] = set()
        self._seats: dict[str, Seat] = {}
        self._started = 0
        self._why = "no node has room for one"
        self._begun = self._said = time.monotonic()
        self._look_around()
        hosts = Counter(seat.node.host for seat in self._seats.values())
        each = f" on {size} GPUs each" if cluster.on_gpus else ""
        where = ", ".join(f"{count} on {host}" for host, count in hosts.items())
        print(f"{settings.model}: {len(self._seats)} replicas{each}: {where}", flush=True)

    def send(self, replica: str, requests: Sequence[Request]) -> None:
        if replica in self._seats:
            self._seats[replica].to_send += requests

    def wait(self) -> list[Event]:
        if time.monotonic() > self._looked + LOOK_S:
            self._look_around()
        if not self._seats:
            raise ReplicaDied(f"no replica is left in the cluster at {cluster_address()}: {self._why}")
        for seat in self._seats.values():
            if seat.call is None and (seat.to_send or seat.busy):
                seat.call, seat.to_send = seat.actor.work.remote(seat.to_send), []
        calls = {seat.call: name for name, seat in self._seats.items() if seat.call is not None}
        if not calls:
            time.sleep(REPORT_S)
            return []
        self._say_if_none_is_ready()
        first, _ = ray.wait(list(calls), num_returns=1, timeout=LOOK_S)
        done, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0) if first else ([], [])
        return [self._answer(calls[call]) for call in done]

    def _say_if_none_is_ready(self) -> None:
        if time.monotonic() > self._said + SAY_S and not any(seat.ready for seat in self._seats.values()):
            self._said = time.monotonic()
            _say(f"no replica is ready after {self._said - self._begun:.0f} s, {len(self._seats)} are starting")

    def _answer(self, name: str) -> Event:
        seat = self._seats[name]
        try:
            answer = ray.get(seat.call)
        except RayError as error:
            return self._died(name, error)
        seat.call = None
        if isinstance(answer, Ready):
            seat.ready = True
            return answer
        report, seat.busy = answer
        seat.worked = seat.worked or bool(report.answers)
        if report.answers:
            self._idle_starts[seat.node.node_id] = 0
        return report

    def _died(self, name: str, error: RayError) -> Died:
        seat = self._seats.pop(name)
        ray.kill(seat.actor)  # what failed in a call is alive and holds its GPUs
        node = seat.node
        self._why = reason(error)
        line = f"a replica on node {node.host} ({node.address}) is gone, its questions are dealt again: {self._why}"
        self._idle_starts[node.node_id] += not seat.worked
        if self._idle_starts[node.node_id] >= STARTS_WITHOUT_WORK:
            self._left_out.add(node.node_id)
            line += (
                f"; the node is left out, {STARTS_WITHOUT_WORK} replicas died there before they had answered anything"
            )
        _say(line)
        self._looked = float("-inf")
        return Died(name)

    def _look_around(self) -> None:
        """Start a replica wherever there should be one and is none."""
        self._looked = time.monotonic()
        here = Counter(seat.node.node_id for seat in self._seats.values())
        for node in self._cluster.usable():
            if node.node_id in self._left_out:
                continue
            if node.node_id not in self._cores and not self._admit(node):
                continue
            for _ in range(self._room(node) - here[node.node_id]):
                if self._most is None or len(self._seats) < self._most:
                    self._start(node)

    def _room(self, node: Node) -> int:
        return room(node, self._cluster.on_gpus, self._settings.tensor_parallel)

    def _admit(self, node: Node) -> bool:
        """Whether a node that is new can have replicas; says so if not, and leaves it out."""
        try:
            found = inspect([node], self._settings.model)[node.node_id]
            problem = unfit(node, found, self._settings.model, self._facts)
        except ValueError as error:
            problem = str(error)
        if problem:
            _say(f"a node is left out: {problem}")
            self._left_out.add(node.node_id)
            return False
        self._cores[node.node_id] = found.cores
        return True

    def _start(self, node: Node) -> None:
        name = str(self._started)
        threads = max(1, self._cores[node.node_id] // self._room(node))
        environment = {  # Ray's own would be one thread; the others are those of passk.generate
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
            "TORCH_CPP_LOG_LEVEL": "ERROR",
        }
        machine.set_thread_waiting(environment)
        size = self._settings.tensor_parallel
        needs = {"num_gpus": size, "num_cpus": 0} if self._cluster.on_gpus else {"num_cpus": 1}
        actor = REPLICA.options(**on(node), **needs, runtime_env={"env_vars": environment}).remote()
        # no two replicas may draw the same random numbers, one that is started again included
        settings = replace(self._settings, seed=self._settings.seed + self._started)
        self._started += 1
        self._seats[name] = Seat(node, actor, actor.start.remote(name, self._make_engine, settings))

    def close(self) -> None:
        for seat in self._seats.values():
            ray.kill(seat.actor)
        self._seats.clear()


def _say(line: str) -> None:
    """A line that leaves the bar whole."""
    tqdm.write(line, file=sys.stderr)
