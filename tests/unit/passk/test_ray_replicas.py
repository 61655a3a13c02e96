"""Replicas on a cluster's nodes as they start, die and come, with a stand-in for Ray's calls; Ray itself is in
tests/integration/test_evaluation_on_nodes.py.
"""

from types import SimpleNamespace

import pytest
from ray.exceptions import RayError, RayTaskError

from passk import ray_replicas
from passk.engine import EngineSettings, Request
from passk.presets import Sampling
from passk.ray_cluster import NodeFacts
from passk.ray_replicas import STARTS_WITHOUT_WORK, RayReplicas, Replica
from passk.sampling import Ready, ReplicaDied, deal
from rlvr.cluster.nodes import Node
from rlvr.versions import versions
from tests.unit.passk.fake_engine import fake_engine

SETTINGS = EngineSettings("m", "auto", Sampling("countdown", 16, num_generation=2, temperature=1.0), seed=5)
REQUESTS = [Request((0, number), f"prompt {number} ", 2) for number in range(40)]


def node(name: str, gpus: int = 0) -> Node:
    return Node(name, name, name, cpus=8, gpus=gpus, alive=True)


class Thing:
    """Something with attributes that is only equal to itself."""

    def __init__(self, **attributes) -> None:
        self.__dict__.update(attributes)


class StandIn:
    """Ray's calls, carried out at once in this process; ``dies`` says which of them end their actor."""

    def __init__(self, dies) -> None:
        self.dies = dies
        self.started: list[Thing] = []
        self.killed: list[Thing] = []

    def options(self, **options):
        return Thing(remote=lambda: self.actor(options))

    def actor(self, options):
        replica, calls = Replica(), []
        actor = Thing(options=options)

        def call(method):
            def remote(*arguments):
                calls.append(method)
                number = self.started.index(actor)
                nth = len(calls)
                return Thing(result=lambda: self.result(replica, method, arguments, number, nth))

            return Thing(remote=remote)

        actor.start, actor.work = call("start"), call("work")
        self.started.append(actor)
        return actor

    def result(self, replica, method, arguments, number, call):
        if self.dies(number, call):
            raise RayError("the actor died unexpectedly")
        return getattr(replica, method)(*arguments)

    def wait(self, calls, num_returns, timeout):
        return calls[:num_returns], calls[num_returns:]

    def get(self, call):
        return call.result()

    def kill(self, actor):
        self.killed.append(actor)


@pytest.fixture
def fleet_of(monkeypatch):
    def make(nodes, dies=lambda number, call: False, num_gpus=None, size=1, inspect=None):
        stand_in = StandIn(dies)
        on_gpus = any(one.gpus for one in nodes)
        cluster = SimpleNamespace(
            on_gpus=on_gpus,
            num_gpus=num_gpus,
            usable=lambda: list(nodes),
            prepare=lambda model, facts: (size, {one.node_id: 8 for one in nodes}),
        )
        found = NodeFacts("f", versions(), 8, None)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(ray_replicas, "ray", stand_in)
        monkeypatch.setattr(ray_replicas, "REPLICA", stand_in)
        monkeypatch.setattr(ray_replicas, "on", lambda node: {"node": node.node_id})  # Ray's own wants a real node's id
        monkeypatch.setattr(ray_replicas, "LOOK_S", 0.0)
        monkeypatch.setattr(
            ray_replicas, "inspect", inspect or (lambda new, model: {one.node_id: found for one in new})
        )
        return RayReplicas(cluster, fake_engine, SETTINGS, {"fingerprint": "f"}), stand_in

    return make


def node_of(actor) -> str:
    return actor.options["node"]


def everything_once(fleet) -> bool:
    return sorted(answers.key for answers in deal(fleet, REQUESTS, 7)) == [request.key for request in REQUESTS]


def test_every_node_works_and_all_end(fleet_of, capsys):
    fleet, ray = fleet_of([node("a"), node("b")])
    assert everything_once(fleet)
    assert [node_of(actor) for actor in ray.started] == ["a", "b"] and ray.killed == ray.started
    assert ray.started[0].options["num_cpus"] == 1
    environment = ray.started[0].options["runtime_env"]["env_vars"]
    assert environment["OMP_NUM_THREADS"] == "8" and environment["OMP_WAIT_POLICY"] == "passive"
    assert "m: 2 replicas: 1 on a, 1 on b" in capsys.readouterr().out


def test_gpus_are_shared_out_inside_nodes_and_up_to_the_number_that_was_asked_for(fleet_of):
    fleet, ray = fleet_of([node("a", 8), node("b", 6)], size=4)
    assert [node_of(actor) for actor in ray.started] == ["a", "a", "b"]
    assert {actor.options["num_gpus"] for actor in ray.started} == {4}
    fleet, ray = fleet_of([node("a", 8), node("b", 8)], size=4, num_gpus=11)
    assert [node_of(actor) for actor in ray.started] == ["a", "a"]
    assert everything_once(fleet)


@pytest.mark.parametrize("call", [1, 2, 5])  # at its start, with its first work, later
def test_a_replica_that_dies_is_started_again_with_other_random_numbers(fleet_of, capsys, call):
    fleet, ray = fleet_of([node("a"), node("b")], dies=lambda number, nth: number == 0 and nth == call)
    assert everything_once(fleet)
    assert [node_of(actor) for actor in ray.started] == ["a", "b", "a"]
    assert ray.started[0] in ray.killed, "what failed may be alive and hold its GPUs"
    said = capsys.readouterr().err
    assert "a replica on node a (a) is gone, its questions are dealt again: the actor died unexpectedly" in said
    assert "left out" not in said


def test_a_node_where_nothing_starts_is_left_out(fleet_of, capsys):
    fleet, ray = fleet_of([node("a"), node("b")], dies=lambda number, nth: node_of(ray.started[number]) == "a")
    assert everything_once(fleet)
    assert [node_of(actor) for actor in ray.started].count("a") == STARTS_WITHOUT_WORK
    assert "the node is left out, 3 replicas died there before they had answered" in capsys.readouterr().err


def test_when_nobody_is_left_the_run_ends_with_the_reason(fleet_of):
    fleet, _ = fleet_of([node("a")], dies=lambda number, nth: True)
    with pytest.raises(ReplicaDied, match=r"no replica is left in the cluster .*: the actor died unexpectedly"):
        list(deal(fleet, REQUESTS, 7))


def test_nodes_join_and_leave(fleet_of, capsys):
    nodes = [node("a")]
    fleet, ray = fleet_of(nodes)
    assert isinstance(fleet.wait()[0], Ready)
    nodes.append(node("b"))
    assert {event.replica for event in fleet.wait()} == {"1"}
    assert [node_of(actor) for actor in ray.started] == ["a", "b"]
    nodes.pop(0)
    ray.dies = lambda number, nth: number == 0
    assert everything_once_from(fleet, ready=["0", "1"])
    assert [node_of(actor) for actor in ray.started] == ["a", "b"], "nothing is started on a node that is gone"
    assert "a replica on node a (a) is gone" in capsys.readouterr().err


def everything_once_from(fleet, ready: list[str]) -> bool:
    """As :func:`everything_once`, where the fleet has said already who is ready."""
    wait, said = fleet.wait, iter([[Ready(name, 4, 4000) for name in ready]])
    fleet.wait = lambda: next(said, None) or wait()
    return everything_once(fleet)


def test_a_new_node_that_is_unfit_is_left_out_loudly(fleet_of, capsys):
    nodes = [node("a")]
    other = NodeFacts(None, versions(), 8, None)
    fleet, ray = fleet_of(nodes, inspect=lambda new, model: {one.node_id: other for one in new})
    nodes.append(node("b"))
    assert everything_once(fleet)
    assert [node_of(actor) for actor in ray.started] == ["a"]
    assert "a node is left out: --model_name m: node b (b) has no such folder" in capsys.readouterr().err


def test_the_cause_is_one_line():
    assert ray_replicas.reason(RayError("first\nsecond")) == "first"
    cause = RuntimeError("CUDA out of memory\nmore")
    assert ray_replicas.reason(RayTaskError("start", "traceback", cause)) == "RuntimeError: CUDA out of memory"
