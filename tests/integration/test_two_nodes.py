"""Two Ray nodes on one machine: a run that loses one ends with 76 and resumes; one that hangs says where and ends with 75."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT

WATCHDOG_S = 45  # longer than any phase of the tiny run on a busy machine
REWARD = """
import asyncio
from pathlib import Path
from rlvr.training.reward import compute_score as grade

async def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    while solution_str and Path({flag!r}).exists():
        await asyncio.sleep(1)
    return await grade(data_source, solution_str, ground_truth, extra_info)
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class TwoNodes:
    """Two nodes with one logical GPU each, started by scripts/ray_cluster with ports, files and a token of their own."""

    def __init__(self, folder: Path):
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        self.environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.folder, self.ray_folder = folder, Path(f"/tmp/rlvr-ray-{os.getpid()}")
        port, client, *self.agents = free_ports(4)
        # Ray replaces the loopback address by the machine's own; only it knows which.
        self.address = f"127.0.0.1:{port}"
        self.head = self.start("head", "127.0.0.1", 0, f"--port={port}", f"--ray-client-server-port={client}")
        self.worker: subprocess.Popen | None = None

    def start(self, role: str, address: str, agent: int, *options: str) -> subprocess.Popen:
        command = [str(ROOT / "scripts" / "ray_cluster"), role, address, "--num-gpus=1", "--num-cpus=16", *options]
        command += [f"--dashboard-agent-listen-port={self.agents[agent]}", "--object-store-memory=200000000"]
        if role == "head":  # a socket's path is short; pytest's folders are not
            command += [f"--temp-dir={self.ray_folder}", "--include-dashboard=false"]
        with (self.folder / f"{role}.log").open("a") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)

    def add_worker(self) -> None:
        self.worker = self.start("worker", self.address, 1)

    def wait(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "rlvr.operate.cluster", "wait", "--nodes=2", "--gpus-per-node=1", *arguments]
        environment = self.environment | {
            "RAY_ADDRESS": self.address,
            "RLVR_NODES": f"{socket.gethostname()},absent-node",
        }
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)

    def run(self, log: Path, *settings: str) -> subprocess.Popen:
        environment = self.environment | {"RAY_ADDRESS": self.address, "NNODES": "2", "GPUS_PER_NODE": "1"}
        command = ["bash", str(ROOT / "run_tiny_psr_nsr.sh"), *settings]
        with log.open("w") as file:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)

    def lose_worker(self) -> None:
        """As if its machine had lost power."""
        assert self.worker is not None
        family = [psutil.Process(self.worker.pid), *psutil.Process(self.worker.pid).children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.worker.wait()

    @staticmethod
    def end(process: subprocess.Popen | None) -> None:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def two_nodes(tmp_path) -> Iterator[TwoNodes]:
    nodes = TwoNodes(tmp_path)
    try:
        yield nodes
    finally:
        nodes.end(nodes.worker)
        nodes.end(nodes.head)
        shutil.rmtree(nodes.ray_folder, ignore_errors=True)


def until(condition, run: subprocess.Popen, log: Path) -> None:
    """Wait for ``condition`` while ``run`` lives."""
    deadline = time.monotonic() + 400
    while not condition():
        assert run.poll() is None, log.read_text()[-8000:]
        assert time.monotonic() < deadline, log.read_text()[-8000:]
        time.sleep(0.5)


@pytest.mark.timeout(900)
def test_a_lost_node_a_resume_and_a_hanging_reward(two_nodes, tiny, tmp_path):
    folder, flag = tmp_path / "run", tmp_path / "hang"
    (tmp_path / "reward.py").write_text(REWARD.format(flag=str(flag)))
    settings = [
        f"data.train_files={tiny}/train.parquet",
        f"data.val_files={tiny}/test.parquet",
        f"actor_rollout_ref.model.path={tiny}/model",
        f"trainer.default_local_dir={folder}",
        f"reward.custom_reward_function.path={tmp_path}/reward.py",
        "trainer.total_training_steps=1000",
        "trainer.save_freq=1",
        "trainer.max_actor_ckpt_to_keep=2",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        f"trainer.watchdog.timeout_s={WATCHDOG_S}",
        "trainer.watchdog.stop=true",
        "data.train_batch_size=8",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    ]
    metrics, tracker = folder / "metrics.jsonl", folder / "latest_checkpointed_iteration.txt"

    # The second node is not there: the launcher's wait names what is missing.
    assert two_nodes.wait("--nodes=1", "--timeout=120").returncode == 0
    absent = two_nodes.wait("--timeout=1")
    assert absent.returncode == 2, absent.stderr
    assert "1 of 2 nodes with 1 GPUs are missing; not there: absent-node" in absent.stderr
    two_nodes.add_worker()
    present = two_nodes.wait("--timeout=120")
    assert present.returncode == 0, present.stderr
    assert present.stdout.count("16 CPUs, 1 GPUs") >= 2

    # It is lost while the run trains.
    log = tmp_path / "first.log"
    run = two_nodes.run(log, *settings)
    until(tracker.is_file, run, log)
    two_nodes.lose_worker()
    assert run.wait(timeout=120) == 76, log.read_text()[-8000:]
    output = log.read_text()
    assert "watchdog: lost node" in output and "WorkerDict" in output
    saved = int(tracker.read_text())

    # It is back: the same command goes on after the checkpoint. Then the reward function hangs.
    two_nodes.add_worker()
    assert two_nodes.wait("--timeout=120").returncode == 0
    log = tmp_path / "second.log"
    run = two_nodes.run(log, *settings)
    until(lambda: tracker.read_text().isdigit() and int(tracker.read_text()) >= saved + 2, run, log)
    flag.touch()
    assert run.wait(timeout=WATCHDOG_S + 120) == 75, log.read_text()[-8000:]
    output = log.read_text()
    assert "setting global step to " + str(saved) in output
    assert "waiting in rollout and reward" in output
    assert "rollout worker 0 waits for reward" in output and "compute_score > sleep" in output
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == sorted(set(steps)), "no step is there twice"
    # verl saves a step before its metrics are known: the saved step's line is lost if the node is lost in between
    assert set(range(1, steps[-1] + 1)) - set(steps) <= {saved}
    # Two checkpoints are kept, those of the first run included.
    newest = int(tracker.read_text())
    assert {path.name for path in folder.glob("global_step_*")} == {
        f"global_step_{newest - 1}",
        f"global_step_{newest}",
    }
