"""What is missing from a cluster is named; two real nodes are in tests/integration/test_two_nodes.py."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rlvr.cluster import nodes
from rlvr.cluster.cpus import WORKER_NICENESS
from tests.conftest import ROOT


def record(host: str, gpus: float = 8, alive: bool = True) -> dict:
    """As ``ray.nodes()`` gives it."""
    return {
        "NodeID": f"id-{host}",
        "NodeManagerHostname": host,
        "NodeManagerAddress": f"10.0.0.{len(host)}",
        "Alive": alive,
        "Resources": {"CPU": 64.0, "GPU": gpus},
    }


def test_nothing_is_missing():
    seen = nodes.read_nodes([record("a"), record("bb")])
    assert nodes.missing(seen, 2, 8, ["a", "bb"]) is None
    assert nodes.describe(seen) == "  a (10.0.0.1): 64 CPUs, 8 GPUs\n  bb (10.0.0.2): 64 CPUs, 8 GPUs"


def test_missing_nodes_are_named_by_count_and_name():
    seen = nodes.read_nodes([record("a"), record("bb", alive=False)])
    said = nodes.missing(seen, 3, 8, ["a.domain", "bb", "ccc"])
    assert said == "2 of 3 nodes with 8 GPUs are missing; not there: bb, ccc"


def test_a_node_with_too_few_gpus_is_named():
    seen = nodes.read_nodes([record("a"), record("bb", gpus=4)])
    assert nodes.missing(seen, 2, 8, []) == "1 of 2 nodes with 8 GPUs are missing; too few GPUs: bb (4 GPUs)"


def test_names_by_hand_or_from_slurm(monkeypatch, tmp_path):
    monkeypatch.delenv("RLVR_NODES", raising=False)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    assert nodes.promised_names() == []
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    assert nodes.promised_names() == ["n1", "n2"]
    monkeypatch.setenv("RLVR_NODES", "x, y")
    assert nodes.promised_names() == ["x", "y"]


@pytest.mark.parametrize(("address", "named"), [("ray://10.0.0.1:10001", "HOST:PORT"), ("10.0.0.1", "HOST:PORT")])
def test_an_address_of_another_kind(monkeypatch, capsys, address, named):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert nodes.main(["wait", "--nodes=2", "--gpus-per-node=8", "--timeout=0"]) == 2
    assert named in capsys.readouterr().err


def test_a_head_that_does_not_answer(monkeypatch, capsys):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert nodes.main(["wait", "--nodes=2", "--gpus-per-node=8", "--timeout=0"]) == 2
    assert "nobody answers at RAY_ADDRESS=127.0.0.1:1" in capsys.readouterr().err


def test_commands_that_start_nodes():
    head = nodes.start_command("head", "10.0.0.1", 6379, None, 8, ["--temp-dir=/x"])
    assert {"--head", "--block", "--port=6379", "--num-gpus=8", "--dashboard-host=127.0.0.1", "--temp-dir=/x"} <= {
        *head
    }
    (cpus,) = (int(word.split("=")[1]) for word in head if word.startswith("--num-cpus="))
    assert cpus >= 8 * 3 + 1, "verl reserves three a GPU and one for the trainer"
    worker = nodes.start_command("worker", "10.0.0.1", 6379, 4, None, [])
    assert "--address=10.0.0.1:6379" in worker and "--num-cpus=4" in worker and "--head" not in worker
    assert "--address=10.0.0.1:7000" in nodes.start_command("worker", "10.0.0.1:7000", 6379, 4, None, [])


@pytest.mark.parametrize(("own", "niceness"), [(None, "0"), ("7", "7")])
def test_workers_of_a_node_run_at_its_own_priority(monkeypatch, own, niceness):
    class Replaced(Exception):
        """The process is another program now."""

    def execv(program, command):
        raise Replaced(os.environ[WORKER_NICENESS])

    monkeypatch.setattr(nodes.os, "execv", execv)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv(WORKER_NICENESS, own or "")
    if own is None:
        monkeypatch.delenv(WORKER_NICENESS)
    with pytest.raises(Replaced, match=niceness):
        nodes.main(["worker", "10.0.0.1:6379", "--num-gpus=1"])


@pytest.mark.parametrize(("address", "kept"), [(None, True), ("local", True), ("10.0.0.1:6379", False)])
def test_a_run_brings_no_resources_into_a_cluster(monkeypatch, address, kept):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    config = OmegaConf.create({"ray_kwargs": {"ray_init": {"num_cpus": 16, "num_gpus": 1, "include_dashboard": False}}})
    OmegaConf.set_struct(config, True)
    nodes.JoinCluster().on_run_start(config)
    assert ("num_cpus" in config.ray_kwargs.ray_init) == ("num_gpus" in config.ray_kwargs.ray_init) == kept
    assert "include_dashboard" in config.ray_kwargs.ray_init


def test_a_run_without_an_address_joins_no_cluster_that_happens_to_be_there(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = OmegaConf.create({"ray_kwargs": {"ray_init": {"num_cpus": 16}}})
    OmegaConf.set_struct(config, True)
    nodes.JoinCluster().on_run_start(config)
    assert config.ray_kwargs.ray_init == {"num_cpus": 16, "address": "local"}


def slurm_job(folder: Path, launcher: str) -> subprocess.Popen:
    """The batch script with stand-ins for Slurm's commands, which write down what they are asked, and for the launcher."""
    said = folder / "said"
    stand_ins = {
        "scontrol": 'printf "n1\\nn2\\nn3\\n"',
        "srun": f'echo "srun $*" >> {said}; case "$*" in *ip*|*hostname*) echo 10.1.1.1;; *ray_cluster*) exec sleep 300;; esac',
        "launcher.sh": f"until [ $(grep -c ray_cluster {said}) = 3 ]; do sleep 0.1; done\n"
        f'echo "launcher $* RAY_ADDRESS=$RAY_ADDRESS NNODES=$NNODES" >> {said}\n{launcher}',
    }
    for name, body in stand_ins.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / "scripts").symlink_to(ROOT / "scripts")
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_JOB_ID": "7",
        "SLURM_NNODES": "3",
        "SLURM_SUBMIT_DIR": str(folder),
    }
    command = ["bash", str(ROOT / "scripts" / "slurm.sbatch"), str(folder / "launcher.sh"), "key=value"]
    return subprocess.Popen(command, env=environment)


def test_slurm_starts_a_head_the_workers_and_the_launcher(tmp_path):
    assert slurm_job(tmp_path, "exit 75").wait(timeout=300) == 75, "the launcher's exit code is the job's"
    said = tmp_path / "said"
    lines = said.read_text().splitlines()
    assert any("ray_cluster head 10.1.1.1" in line and "--nodelist=n1" in line for line in lines)
    assert sum("ray_cluster worker 10.1.1.1:" in line for line in lines) == 2
    (launched,) = [line for line in lines if line.startswith("launcher")]
    assert "key=value" in launched and "NNODES=3" in launched and "RAY_ADDRESS=10.1.1.1:" in launched


def test_slurm_s_warning_becomes_the_run_s_stop_file(tmp_path):
    job = slurm_job(tmp_path, f"until [ -e {tmp_path}/stop-7 ]; do sleep 0.1; done; sleep 1; exit 75")
    while not (tmp_path / "said").exists() or "launcher" not in (tmp_path / "said").read_text():
        assert job.poll() is None
        time.sleep(0.05)
    assert f"trainer.stop_file={tmp_path}/stop-7 key=value" in (tmp_path / "said").read_text()
    job.terminate()
    assert job.wait(timeout=300) == 75, "it waits for the launcher, and passes its exit code on"
