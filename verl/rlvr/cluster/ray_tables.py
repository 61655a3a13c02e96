"""What Ray's own tables say about a run: its workers, their nodes, and which of them are lost.

A loss is what the tables of Ray's head (actors, worker processes, nodes) call dead and what nobody ended on purpose; the words of
an error count for nothing. An error may be here before the tables know its cause: Ray gives a node up after several missed
health checks. :func:`silent` tells whether there is anything to wait for, by asking every node and worker that is said to live,
and :func:`patience_s` how long Ray may take. Deliberately left out: what follows from a loss (:mod:`rlvr.operate.watchdog`).
"""

import socket
from collections.abc import Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.core.generated import common_pb2, gcs_pb2

Address = tuple[str, int]  # host and port

CONNECT_S = 2.0  # the kernel of a living machine answers at once, however busy its processes are
CAUSE_LENGTH = 160
# How Ray's head writes down that a worker process ended on purpose.
ON_PURPOSE = ("INTENDED_SYSTEM_EXIT", "INTENDED_USER_EXIT")
ENDED_BY_THE_RUN = ("RAY_KILL", "OUT_OF_SCOPE", "REF_DELETED")
OWNER_DIED = "OWNER_DIED"
WORKER_DIED = "WORKER_DIED"


@dataclass(frozen=True)
class Worker:
    """A Ray actor of this run.

    ``state`` is Ray's; ``lost`` whether it is dead and nobody meant it to be; ``reason`` and ``cause`` say why, in Ray's words.
    """

    name: str
    state: str
    node_id: str
    pid: int = 0
    address: Address = ("", 0)
    lost: bool = False
    reason: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Node:
    """A machine of Ray's cluster; ``cause`` says why it is dead."""

    name: str
    alive: bool = True
    address: Address = ("", 0)
    cause: str = ""


@dataclass(frozen=True)
class Loss:
    """``what`` is lost and, in Ray's words, its ``cause``."""

    what: str
    cause: str


@dataclass
class Cluster:
    """What Ray says about this run: its workers by actor id, all nodes by node id."""

    workers: dict[str, Worker] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)


def look() -> Cluster:
    """Ask the head; needs a connection."""
    # Ray's public calls leave out how a process ended, and its state API needs the dashboard, which need not run.
    tables = ray._private.state.state._connect_and_get_accessor()
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    actors = [gcs_pb2.ActorTableData.FromString(row) for row in tables.get_actor_table(job, None)]
    processes: dict[bytes, gcs_pb2.WorkerTableData] = {}
    if any(read_state(actor) == "DEAD" for actor in actors):
        rows = map(gcs_pb2.WorkerTableData.FromString, tables.get_worker_table())
        processes = {row.worker_address.worker_id: row for row in rows}
    workers = {actor.actor_id.hex(): read_worker(actor, processes.get(actor.address.worker_id)) for actor in actors}
    return Cluster(workers, read_nodes(ray.nodes()))


def read_state(actor: Any) -> str:
    return gcs_pb2.ActorTableData.ActorState.Name(actor.state)


def read_worker(actor: Any, process: Any = None) -> Worker:
    """A worker from its rows in Ray's tables.

    Args:
        actor: ``ActorTableData``.
        process: ``WorkerTableData`` of the process that it ran in; None where Ray has no row of it.
    """
    state = read_state(actor)
    lost, reason, cause = False, "", ""
    if state == "DEAD":
        lost, reason, cause = read_death(actor.death_cause, process)
        if reason == WORKER_DIED and process is not None and process.is_alive:
            # The head writes one table after the other: how the process ended is not there yet, so ask again.
            state, lost = "ALIVE", False
    return Worker(
        name=actor.class_name.rsplit(".", 1)[-1],
        state=state,
        node_id=actor.address.node_id.hex(),
        pid=actor.pid,
        address=(actor.address.ip_address, actor.address.port),
        lost=lost,
        reason=reason,
        cause=cause,
    )


def read_death(death: Any, process: Any) -> tuple[bool, str, str]:
    """(lost, reason, cause) of a dead actor.

    Not lost is what the run itself ended, what left by itself, and what never came to be: an error in ``__init__``, an
    environment that could not be made, resources that no node has. Those are errors of the run.
    """
    kind = death.WhichOneof("context")
    exit_type = common_pb2.WorkerExitType.Name(process.exit_type) if process is not None else ""
    if kind == "oom_context":
        return True, "OUT_OF_MEMORY", f"out of memory: {shortened(death.oom_context.error_message)}"
    if kind != "actor_died_error_context":
        return False, str(kind).upper(), ""
    context = death.actor_died_error_context
    reason = type(context).Reason.Name(context.reason)
    if reason in ENDED_BY_THE_RUN:
        return False, reason, ""
    if reason == "NODE_DIED":
        return True, reason, shortened(context.node_death_info.reason_message or context.error_message)
    if reason == OWNER_DIED:
        return True, reason, "its owner died"
    if exit_type in ON_PURPOSE:
        return False, reason, ""
    detail = process.exit_detail if process is not None else context.error_message
    memory = "out of memory: " if exit_type == "NODE_OUT_OF_MEMORY" else ""
    return True, reason, memory + shortened(detail or reason)


def shortened(text: str) -> str:
    """The first line of one of Ray's explanations, which can be a page."""
    line = text.strip().partition("\n")[0].partition(" Some common causes include")[0]
    return line if len(line) <= CAUSE_LENGTH else line[: CAUSE_LENGTH - 1] + "…"


def read_nodes(records: Iterable[Mapping[str, Any]]) -> dict[str, Node]:
    """Nodes by id from the records of ``ray.nodes()``."""
    return {
        record["NodeID"]: Node(
            name=f"{record['NodeManagerHostname']} ({record['NodeManagerAddress']})",
            alive=record["Alive"],
            address=(record["NodeManagerAddress"], record["NodeManagerPort"]),
            cause=shortened(record.get("DeathReasonMessage", "")),
        )
        for record in records
    }


def losses(cluster: Cluster, lived: Set[str] = frozenset(), replaced: Set[str] = frozenset()) -> list[Loss]:
    """Each lost node, with what ran there, and each worker that was lost on a living node.

    What died with its owner is there only where nothing else is lost. A node counts where a worker of this run lived on it until
    its end: other runs' nodes may come and go.

    Args:
        cluster: what Ray says now.
        lived: ids of workers that lived when the run failed. A run that fails lets go of its workers, and until Ray notices that
            their node is gone, it takes that for their end.
        replaced: ids of workers that others stand in for; they count with their node alone.
    """
    on_lost_nodes: dict[str, list[str]] = {}
    found: list[Loss] = []
    followed: list[Loss] = []
    for actor_id, worker in cluster.workers.items():
        node = cluster.nodes.get(worker.node_id, Node("an unknown node"))
        lives = worker.state != "DEAD" and worker.pid != 0
        if not node.alive and (lives or worker.lost or actor_id in lived):
            on_lost_nodes.setdefault(worker.node_id, []).append(worker.name)
        elif worker.lost and actor_id not in replaced:
            loss = Loss(f"lost worker {worker.name} (pid {worker.pid}) on node {node.name}", worker.cause)
            (followed if worker.reason == OWNER_DIED else found).append(loss)
    for node_id, names in on_lost_nodes.items():
        node = cluster.nodes[node_id]
        ran = ", ".join(f"{names.count(one)} × {one}" for one in sorted(set(names)))
        found.insert(0, Loss(f"lost node {node.name}, Ray node {node_id[:8]}, with {ran}", node.cause))
    return found or followed


def silent(cluster: Cluster) -> list[str]:
    """Nodes and workers of this run that Ray calls alive and that nobody answers for, as words for a line.

    A living process that is busy or stopped still answers, because the kernel accepts its connections.
    """
    workers = [one for one in cluster.workers.values() if one.state == "ALIVE"]
    used = {one.node_id for one in cluster.workers.values() if one.pid}
    nodes = {node_id: node for node_id, node in cluster.nodes.items() if node.alive and node_id in used}
    with ThreadPoolExecutor(max_workers=32) as pool:
        up = dict(zip(nodes, pool.map(answers, nodes.values())))
        asked = [one for one in workers if up.get(one.node_id)]
        dead = [one for one, answered in zip(asked, pool.map(answers, asked)) if not answered]
    return [f"node {nodes[node_id].name}" for node_id, answered in up.items() if not answered] + [
        f"worker {one.name} (pid {one.pid})" for one in dead
    ]


def answers(one: Node | Worker) -> bool:
    """Whether its Ray port takes a connection."""
    try:
        socket.create_connection(one.address, timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def patience_s() -> float:
    """Seconds in which Ray gives up a node that does not answer, from its own settings; doubled for a busy machine."""
    settings = ray._config
    check_ms = settings.health_check_period_ms() + settings.health_check_timeout_ms()
    checks_ms = settings.health_check_initial_delay_ms() + settings.health_check_failure_threshold() * check_ms
    return 2 * checks_ms / 1000
