"""What is lost according to rows of Ray's tables, recorded in ray_tables.json: one actor for each way to die."""

import json
import socket
from pathlib import Path

import pytest
from google.protobuf import json_format
from ray.core.generated import gcs_pb2

from rlvr.cluster import ray_tables
from rlvr.cluster.ray_tables import Cluster, Node, Worker

RECORDED = json.loads(Path(__file__).with_name("ray_tables.json").read_text())
NODES = {"n1": Node("one (10.0.0.1)"), "n2": Node("two (10.0.0.2)", cause="missed heartbeats")}


def rows(case: str):
    """(actor, process) as Ray's tables have them; the process is None where its table has no row."""
    record = RECORDED[case]
    actor = json_format.ParseDict(record["actor"], gcs_pb2.ActorTableData())
    process = record.get("process")
    return actor, process and json_format.ParseDict(process, gcs_pb2.WorkerTableData())


def cluster(*workers: Worker, dead: tuple[str, ...] = ()) -> Cluster:
    nodes = {node_id: Node(node.name, node_id not in dead, cause=node.cause) for node_id, node in NODES.items()}
    return Cluster({str(number): worker for number, worker in enumerate(workers)}, nodes)


def alive(name: str, node: str) -> Worker:
    return Worker(name, "ALIVE", node, pid=7)


def died(name: str, node: str, reason: str = "WORKER_DIED", lost: bool = True) -> Worker:
    return Worker(name, "DEAD", node, pid=7, lost=lost, reason=reason, cause="it was killed")


# ---- one worker


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("kill -9", "Worker unexpectedly exits with a connection error code 2. End of file."),
        ("segmentation fault", "Worker unexpectedly exits with a connection error code 2. End of file."),
        ("os._exit(1)", "Worker unexpectedly exits with a connection error code 2. End of file."),
        ("kill -9 of an owner", "Worker unexpectedly exits with a connection error code 2. End of file."),
        ("sys.exit(3)", "Worker exits unexpectedly. Worker exits with an exit code 3."),
        ("kill -15", "Worker exits unexpectedly by a signal. SystemExit is raised (sys.exit is called). Exit code: 1."),
        ("its node died", "health check failed due to missing too many heartbeats"),
        ("its owner was killed", "its owner died"),
        ("out of memory", "out of memory: 1 worker(s) were killed due to the node running low on memory."),
    ],
)
def test_lost(case, cause):
    worker = ray_tables.read_worker(*rows(case))
    assert (worker.state, worker.lost) == ("DEAD", True)
    assert (
        worker.cause.startswith(cause)
        and "\n" not in worker.cause
        and len(worker.cause) <= ray_tables.CAUSE_LENGTH + 20
    )


@pytest.mark.parametrize("case", ["ray.kill", "out of scope", "exit_actor", "an error in __init__"])
def test_dead_but_not_lost(case):
    worker = ray_tables.read_worker(*rows(case))
    assert (worker.state, worker.lost) == ("DEAD", False)


@pytest.mark.parametrize("case", ["alive after an error of its own", "waits for resources"])
def test_not_dead(case):
    worker = ray_tables.read_worker(*rows(case))
    assert worker.state != "DEAD" and not worker.lost


@pytest.mark.parametrize("case", ["kill -9", "exit_actor"])
def test_as_long_as_the_process_s_row_lags_behind_nothing_is_decided(case):
    """How a process ended stands in another table than that its actor is dead, and comes a moment later."""
    actor, process = rows(case)
    process.is_alive = True
    process.ClearField("exit_type")  # which then reads SYSTEM_ERROR
    worker = ray_tables.read_worker(actor, process)
    assert (worker.state, worker.lost) == ("ALIVE", False)


def test_a_process_without_a_row():
    """Ray keeps only so many rows of dead processes."""
    assert ray_tables.read_worker(rows("kill -9")[0]).lost
    assert not ray_tables.read_worker(rows("ray.kill")[0]).lost


@pytest.mark.parametrize("kind", ["runtime_env_failed_context", "actor_unschedulable_context"])
def test_what_never_came_to_be_is_not_lost(kind):
    actor = gcs_pb2.ActorTableData(state="DEAD", class_name="create.<locals>.Server")
    getattr(actor.death_cause, kind).SetInParent()
    worker = ray_tables.read_worker(actor)
    assert (worker.name, worker.lost) == ("Server", False)


# ---- a run


def what(cluster: Cluster) -> list[str]:
    return [loss.what for loss in ray_tables.losses(cluster)]


def test_a_lost_node_is_one_line_with_what_ran_there():
    """Whether Ray has already said of each worker that it is dead, and why, makes no difference."""
    now = cluster(
        alive("TaskRunner", "n1"),
        alive("WorkerDict", "n2"),
        died("WorkerDict", "n2"),
        died("Server", "n2", "NODE_DIED"),
        dead=("n2",),
    )
    (loss,) = ray_tables.losses(now)
    assert loss.what == "lost node two (10.0.0.2), Ray node n2, with 1 × Server, 2 × WorkerDict"
    assert loss.cause == "missed heartbeats"


def test_a_dead_worker_on_a_living_node():
    (loss,) = ray_tables.losses(cluster(died("RolloutWorker", "n1"), alive("Server", "n1")))
    assert (loss.what, loss.cause) == ("lost worker RolloutWorker (pid 7) on node one (10.0.0.1)", "it was killed")


def test_what_died_with_its_owner_is_said_only_where_nothing_else_is_lost():
    server = died("Server", "n2", "OWNER_DIED")
    assert what(cluster(died("Trainer", "n1"), server)) == ["lost worker Trainer (pid 7) on node one (10.0.0.1)"]
    assert what(cluster(alive("Trainer", "n1"), server)) == ["lost worker Server (pid 7) on node two (10.0.0.2)"]
    node_and_owner = cluster(died("Trainer", "n1", "NODE_DIED"), server, dead=("n1",))
    assert what(node_and_owner) == ["lost node one (10.0.0.1), Ray node n1, with 1 × Trainer"]


@pytest.mark.parametrize(
    "now",
    [
        cluster(alive("W", "n1")),
        cluster(alive("W", "n1"), dead=("n2",)),  # another run's node
        cluster(died("W", "n1", "RAY_KILL", lost=False)),
        cluster(died("W", "n2", "RAY_KILL", lost=False), dead=("n2",)),  # the run had left that node
        cluster(Worker("W", "PENDING_CREATION", "n2"), dead=("n2",)),  # it never ran there
    ],
)
def test_no_loss(now):
    assert ray_tables.losses(now) == []


def test_a_run_that_has_let_go_of_its_workers_before_ray_knows_that_their_node_is_dead():
    now = cluster(died("W", "n2", "OUT_OF_SCOPE", lost=False), died("V", "n1", "RAY_KILL", lost=False), dead=("n2",))
    (loss,) = ray_tables.losses(now, lived={"0", "1"})
    assert loss.what == "lost node two (10.0.0.2), Ray node n2, with 1 × W"


def test_a_worker_on_a_node_that_ray_has_forgotten():
    assert what(Cluster({"1": died("W", "n9")})) == ["lost worker W (pid 7) on node an unknown node"]


# ---- who answers


@pytest.fixture
def ports():
    """(one that takes connections, one that refuses them)"""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield listening.getsockname(), bound.getsockname()


def test_silent_is_what_ray_calls_alive_and_nobody_answers_for(ports):
    up, down = ports
    workers = [
        Worker("Up", "ALIVE", "n1", pid=1, address=up),
        Worker("Down", "ALIVE", "n1", pid=2, address=down),
        Worker("Known", "DEAD", "n1", pid=3, address=down),
        Worker("Pending", "PENDING_CREATION", "n1", address=down),
        Worker("WithItsNode", "ALIVE", "n2", pid=5, address=down),
        Worker("Ended", "DEAD", "n3", pid=6, address=down, lost=True),
        Worker("GoneWithANode", "ALIVE", "n4", pid=7, address=down),
    ]
    nodes = {
        "n1": Node("one", address=up),
        "n2": Node("two", address=down),
        "n3": Node("three", address=down),  # its worker is dead, but perhaps because the node is
        "n4": Node("four", alive=False, address=down),
        "n5": Node("another run's", address=down),
    }
    now = Cluster({str(one.pid): one for one in workers}, nodes)
    assert ray_tables.silent(now) == ["node two", "node three", "worker Down (pid 2)"]


def test_patience_follows_ray_s_settings(monkeypatch):
    class Settings:
        health_check_initial_delay_ms = staticmethod(lambda: 1000)
        health_check_period_ms = staticmethod(lambda: 500)
        health_check_timeout_ms = staticmethod(lambda: 1500)
        health_check_failure_threshold = staticmethod(lambda: 3)

    monkeypatch.setattr(ray_tables.ray, "_config", Settings)
    assert ray_tables.patience_s() == 2 * (1 + 3 * (0.5 + 1.5))
