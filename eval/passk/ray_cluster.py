"""The Ray cluster that an evaluation uses: join it, and find out before the expensive start what is missing.

A node can have replicas if it has the model, with the same weights, and the same versions of everything. Deliberately left out:
starting Ray (docs/clusters.md says how) and the replicas themselves (:mod:`passk.ray_replicas`).
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from passk import models
from passk.sampling import size_in_node
from rlvr import machine
from rlvr.cluster import nvidia_smi
from rlvr.cluster.nodes import ClusterError, Node, connect, read_nodes
from rlvr.cluster.ray_tables import shortened
from rlvr.versions import versions

CONNECT_S = 30.0  # for the head to answer
INSPECT_S = 120.0  # for a node to say what it has
FREE_S = 60.0  # for a run that was killed to give its GPUs back


def cluster_address() -> str | None:
    """The Ray cluster that this process is to use; None where it is to use this machine alone."""
    address = os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


@dataclass(frozen=True)
class NodeFacts:
    """What a node says of itself: ``model`` is the fingerprint of the model there, None without one."""

    model: str | None
    versions: dict[str, str]
    cores: int
    gpu_bytes: int | None  # of its smallest GPU


class Cluster:
    """The cluster at ``RAY_ADDRESS``, joined.

    ``on_gpus``: whether replicas are on GPUs; ``num_gpus``: at most so many, None for all.
    """

    def __init__(self, num_gpus: int | None) -> None:
        """Join it.

        Raises:
            ValueError: if there is none, or it has fewer than ``num_gpus`` GPUs.
        """
        try:
            connect(time.monotonic() + CONNECT_S)
        except ClusterError as error:
            raise ValueError(str(error)) from error
        gpus = sum(int(node.gpus) for node in living_nodes())
        self.on_gpus = gpus > 0
        self.num_gpus = num_gpus if self.on_gpus else None
        if self.num_gpus is not None and self.num_gpus > gpus:
            raise ValueError(f"--num_gpus {num_gpus}: the cluster at {cluster_address()} has {gpus}")

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        nodes = self.usable()
        gpus = sum(int(node.gpus) for node in nodes) if self.num_gpus is None else self.num_gpus
        return {"num_gpus": gpus, "nodes": [node.host for node in nodes]}

    def usable(self) -> list[Node]:
        """The nodes that replicas can be on."""
        return [node for node in living_nodes() if room(node, self.on_gpus)]

    def prepare(self, model: str, facts: dict[str, Any]) -> tuple[int, dict[str, int]]:
        """Check everything that replicas of a model need.

        Args:
            model: its folder, or a hub id.
            facts: of the model, from :func:`passk.models.describe`.

        Returns:
            GPUs of a replica (1 on CPUs), and the cores of every node by its id.

        Raises:
            ValueError: if a node lacks the model, has other versions or too small GPUs, or all is in use.
        """
        nodes = self.usable()
        if not nodes:
            raise ValueError(f"the cluster at {cluster_address()} has no node with a CPU for Ray: start one")
        found = inspect(nodes, model)
        for node in nodes:
            problem = unfit(node, found[node.node_id], model, facts)
            if problem:
                raise ValueError(problem)
        size = self._tensor_parallel(nodes, found, facts) if self.on_gpus else 1
        if self.num_gpus is not None and self.num_gpus < size:
            raise ValueError(f"--num_gpus {self.num_gpus}: the model needs {size}")
        wait_for_room("GPU" if self.on_gpus else "CPU", size)
        return size, {node_id: one.cores for node_id, one in found.items()}

    def _tensor_parallel(self, nodes: Sequence[Node], found: dict[str, NodeFacts], facts: dict[str, Any]) -> int:
        if facts["weight_bytes"] is None:
            raise ValueError("a cluster needs a local model, whose size is known: huggingface-cli download it first")
        memory = [one.gpu_bytes for one in found.values() if one.gpu_bytes is not None]
        if len(memory) < len(nodes):
            raise ValueError("a node of the cluster has GPUs for Ray but none for nvidia-smi: mend its driver")
        most = max(int(node.gpus) for node in nodes)
        return size_in_node(most, facts["weight_bytes"], min(memory), facts["attention_heads"])


def room(node: Node, on_gpus: bool, size: int = 1) -> int:
    """Replicas that a node has room for: one for each ``size`` of its GPUs; one if they are on CPUs."""
    return int(node.gpus) // size if on_gpus else int(node.cpus >= 1)


def living_nodes() -> list[Node]:
    return [node for node in read_nodes(ray.nodes()) if node.alive]


def inspect(nodes: Sequence[Node], model: str) -> dict[str, NodeFacts]:
    """What each node says of itself, by node id.

    Raises:
        ValueError: if one does not answer, or cannot run this program.
    """
    asked = {node.node_id: _inspect.options(**on(node)).remote(model) for node in nodes}
    found = {}
    for node in nodes:
        try:
            found[node.node_id] = ray.get(asked[node.node_id], timeout=INSPECT_S)
        except RayError as error:
            raise ValueError(
                f"node {node.host} ({node.address}) does not answer, or lacks this program: {reason(error)}"
            ) from error
    return found


@ray.remote(num_cpus=0)
def _inspect(model: str) -> NodeFacts:
    known = not os.path.isabs(model) or os.path.isdir(model)
    fingerprint = models.describe(model)["fingerprint"] if known else None
    driver = nvidia_smi.ask()
    gpu_bytes = [gpu.memory_total << 20 for gpu in driver.gpus if gpu.memory_total] if driver else []
    return NodeFacts(fingerprint, versions(), machine.cores(), min(gpu_bytes, default=None))


def unfit(node: Node, found: NodeFacts, model: str, facts: dict[str, Any]) -> str | None:
    """Why a node cannot have a replica, in one line; None if it can."""
    name = f"node {node.host} ({node.address})"
    if found.model is None:
        return (
            f"--model_name {model}: {name} has no such folder; put it on storage that all nodes see under the same path"
        )
    if found.model != facts["fingerprint"]:
        return f"--model_name {model}: {name} has other weights there; copy them again"
    own = versions()
    other = [
        f"{name} {found.versions.get(name)}, not {own[name]}" for name in own if own[name] != found.versions.get(name)
    ]
    return f"{name} has {', '.join(other)}: install the same on every node" if other else None


def wait_for_room(resource: str, count: int) -> None:
    """Wait until the cluster has that much to spare: a run that was killed a moment ago still holds its own.

    Raises:
        ValueError: if it has not after a minute.
    """
    deadline = time.monotonic() + FREE_S
    said = False
    while (free := ray.available_resources().get(resource, 0)) < count:
        total = ray.cluster_resources().get(resource, 0)
        line = f"the cluster at {cluster_address()} has {total:g} {resource}s, {free:g} of them free, and a replica takes {count}"
        if time.monotonic() > deadline:
            raise ValueError(f"{line}: end what uses them, or wait for it (`scripts/ray_cluster status`, `ray status`)")
        if not said:
            print(f"waiting: {line}", flush=True)
            said = True
        time.sleep(1)


def on(node: Node) -> dict[str, Any]:
    """Options of a task or an actor that is to run on a node."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.node_id, soft=False)}


def reason(error: RayError) -> str:
    """One line of what Ray says."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return shortened(f"{type(error.cause).__name__}: {error.cause}")
    return shortened(str(error))
