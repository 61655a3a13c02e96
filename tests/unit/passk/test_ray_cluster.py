"""What is checked of a cluster before replicas start; the replicas are in tests/integration/test_evaluation_on_nodes.py."""

import pytest
import ray

from passk import ray_cluster
from passk.generate import evaluate
from passk.ray_cluster import Cluster, NodeFacts, cluster_address, room, unfit, wait_for_room
from rlvr.cluster.nodes import Node
from rlvr.versions import versions

GIB = 2**30
NODE = Node("abc", "far", "10.0.0.2", cpus=16, gpus=8, alive=True)
FACTS = {"fingerprint": "f", "weight_bytes": 140 * GIB, "attention_heads": 64}


@pytest.mark.parametrize(
    "address, used", [(None, None), ("", None), ("local", None), ("10.0.0.1:6379",) * 2, ("auto",) * 2]
)
def test_only_an_address_is_a_cluster(monkeypatch, address, used):
    if address is None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    assert cluster_address() == used


def test_a_node_needs_the_model_and_the_same_versions():
    fit = NodeFacts("f", versions(), cores=16, gpu_bytes=80 * GIB)
    assert unfit(NODE, fit, "/models/a", FACTS) is None
    for other, said in [
        (
            NodeFacts(None, versions(), 16, None),
            "node far (10.0.0.2) has no such folder; put it on storage that all nodes",
        ),
        (NodeFacts("g", versions(), 16, None), "node far (10.0.0.2) has other weights there"),
        (NodeFacts("f", versions() | {"vllm": "0.1"}, 16, None), "far (10.0.0.2) has vllm 0.1, not "),
    ]:
        problem = unfit(NODE, other, "/models/a", FACTS)
        assert problem is not None and said in problem and "\n" not in problem


def test_a_node_has_room_for_a_replica_on_each_of_its_groups_of_gpus_or_for_one_on_its_cores():
    assert [room(NODE, True, size) for size in (1, 3, 8, 16)] == [8, 2, 1, 0]
    assert room(NODE, False) == 1
    assert room(Node("a", "b", "c", cpus=0, gpus=0, alive=True), False) == 0


def joined(monkeypatch, found: NodeFacts, num_gpus: int | None = None) -> Cluster:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(ray_cluster, "connect", lambda deadline: None)
    monkeypatch.setattr(ray_cluster, "living_nodes", lambda: [NODE])
    monkeypatch.setattr(ray_cluster, "inspect", lambda nodes, model: {node.node_id: found for node in nodes})
    monkeypatch.setattr(ray_cluster, "FREE_S", -1.0)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 8.0})
    monkeypatch.setattr(ray, "available_resources", lambda: {"GPU": 8.0})
    return Cluster(num_gpus)


def test_a_replica_takes_as_few_gpus_of_a_node_as_the_weights_need(monkeypatch):
    found = NodeFacts("f", versions(), 16, 80 * GIB)
    assert joined(monkeypatch, found).prepare("m", FACTS) == (4, {"abc": 16})
    assert joined(monkeypatch, found).facts() == {"num_gpus": 8, "nodes": ["far"]}
    assert joined(monkeypatch, found, 4).facts()["num_gpus"] == 4
    for changes, said in [
        ({"weight_bytes": None}, "a cluster needs a local model"),
        ({"weight_bytes": 900 * GIB}, "do not fit on GPUs of 80 GiB, 8 on a node"),
    ]:
        with pytest.raises(ValueError, match=said):
            joined(monkeypatch, found).prepare("m", FACTS | changes)
    with pytest.raises(ValueError, match="--num_gpus 2: the model needs 4"):
        joined(monkeypatch, found, 2).prepare("m", FACTS)
    with pytest.raises(ValueError, match=r"--num_gpus 9: the cluster at 10\.0\.0\.1:6379 has 8"):
        joined(monkeypatch, found, 9)
    with pytest.raises(ValueError, match="none for nvidia-smi"):
        joined(monkeypatch, NodeFacts("f", versions(), 16, None)).prepare("m", FACTS)


def test_gpus_that_are_in_use_are_named(monkeypatch, capsys):
    joined(monkeypatch, NodeFacts("f", versions(), 16, 80 * GIB))
    monkeypatch.setattr(ray, "available_resources", lambda: {"GPU": 1.0})
    with pytest.raises(ValueError, match="has 8 GPUs, 1 of them free, and a replica takes 4: end what uses them"):
        wait_for_room("GPU", 4)
    free = iter([1.0, 4.0])
    monkeypatch.setattr(ray_cluster, "FREE_S", 60.0)
    monkeypatch.setattr(ray_cluster.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ray, "available_resources", lambda: {"GPU": next(free)})
    wait_for_room("GPU", 4)
    assert "waiting: the cluster at 10.0.0.1:6379 has 8 GPUs, 1 of them free" in capsys.readouterr().out


def test_no_cluster_there_is_one_line(monkeypatch, tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"problem": "1+2", "answer": "3", "data_source": "own/test"}\n')
    monkeypatch.setattr(ray_cluster, "CONNECT_S", 0.0)
    for address, said in [
        ("127.0.0.1:1", "passk.generate: nobody answers at RAY_ADDRESS=127.0.0.1:1"),
        ("ray://10.0.0.1:10001", "expected HOST:PORT of the head"),
    ]:
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(SystemExit, match=said) as error:
            evaluate("own/model", str(questions), str(tmp_path), preset="llama", verifiers={"own/*": "math"})
        assert "\n" not in str(error.value)
