"""Two Ray nodes on one machine, for tests: start them, lose one."""

import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from rlvr.training.start import MEETING_PORTS
from tests.conftest import ROOT

HANGS_S = 600  # nothing here takes so long, however busy the machine is


def free_ports(count: int) -> list[int]:
    """Of those that the kernel gives to no connection: what shall listen there takes seconds to start."""
    ports: list[int] = []
    for port in random.SystemRandom().sample(MEETING_PORTS, len(MEETING_PORTS)):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError("no port is free")


class TwoNodes:
    """Two nodes with so many logical GPUs each, started by scripts/ray_cluster with ports, files and a token of their own."""

    def __init__(self, folder: Path, gpus: int = 1):
        self.gpus = gpus
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        self.environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.folder, self.ray_folder = folder, Path(f"/tmp/rlvr-ray-{os.getpid()}")
        port, client, *self.agents = free_ports(4)
        # Ray replaces the loopback address by the machine's own; only it knows which.
        self.address = f"127.0.0.1:{port}"
        self.head = self.start("head", "127.0.0.1", 0, f"--port={port}", f"--ray-client-server-port={client}")
        self.worker: subprocess.Popen | None = None
        self.drivers: list[subprocess.Popen] = []

    def start(self, role: str, address: str, agent: int, *options: str) -> subprocess.Popen:
        command = [
            str(ROOT / "scripts" / "ray_cluster"),
            role,
            address,
            f"--num-gpus={self.gpus}",
            "--num-cpus=16",
            *options,
        ]
        command += [f"--dashboard-agent-listen-port={self.agents[agent]}", "--object-store-memory=200000000"]
        if role == "head":  # a socket's path is short; pytest's folders are not
            command += [f"--temp-dir={self.ray_folder}", "--include-dashboard=false"]
        with (self.folder / f"{role}.log").open("a") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)

    def add_worker(self) -> None:
        self.worker = self.start("worker", self.address, 1)

    def wait(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "rlvr.cluster", "wait", "--nodes=2", *arguments]
        command += [f"--gpus-per-node={self.gpus}"]
        environment = self.environment | {
            "RAY_ADDRESS": self.address,
            "RLVR_NODES": f"{socket.gethostname()},absent-node",
        }
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANGS_S)

    def run(self, launcher: str, log: Path, *settings: str) -> subprocess.Popen:
        environment = self.environment | {"RAY_ADDRESS": self.address, "NNODES": "2", "GPUS_PER_NODE": "1"}
        return self.start_driver(["bash", str(ROOT / launcher), *settings], log, environment)

    def run_stand_in(self, phase: str, log: Path, *settings: str) -> subprocess.Popen:
        """A run without the engine that waits in ``phase``: tests/integration/stand_in.py."""
        command = [
            *(sys.executable, "-m", "tests.integration.stand_in", f"+phase='{phase}'", f"+folder={log.parent}"),
            *(f"hydra.run.dir={log.parent}", "hydra.output_subdir=null"),
            "+hydra.callbacks.watchdog._target_=rlvr.operate.watchdog.Watchdog",
            *("+trainer.watchdog.timeout_s=null", "+trainer.watchdog.stop=false"),
            *(f"+trainer.default_local_dir={log.with_suffix('')}", *settings),
        ]
        return self.start_driver(command, log, self.environment | {"RAY_ADDRESS": self.address})

    def start_driver(self, command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen:
        with log.open("w") as file:
            driver = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        self.drivers.append(driver)
        return driver

    def lose_worker(self) -> None:
        """As if its machine had lost power: all at once, so that no process can report another one's end."""
        assert self.worker is not None
        family = [psutil.Process(self.worker.pid), *psutil.Process(self.worker.pid).children(recursive=True)]
        for act in (psutil.Process.suspend, psutil.Process.kill):
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    act(process)
        self.worker.wait()

    def close(self) -> None:
        """End every driver and both nodes."""
        for driver in self.drivers:
            driver.terminate()
        for process in [*self.drivers, self.worker, self.head]:
            self.end(process)
        shutil.rmtree(self.ray_folder, ignore_errors=True)

    @staticmethod
    def end(process: subprocess.Popen | None) -> None:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
