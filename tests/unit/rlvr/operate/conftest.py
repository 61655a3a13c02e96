"""A Ray and a trainer that say what a test wants, and a watchdog that looks every few milliseconds."""

import signal
import threading
import time
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from rlvr.cluster import ray_tables
from rlvr.operate import watchdog
from rlvr.operate.watchdog import Watchdog
from rlvr.training import progress
from tests.unit.rlvr.cluster.test_ray_tables import alive, cluster

STATUS = {
    "phase": "validation > rollout and reward",
    "step": 3,
    "starting": False,
    "idle_s": 0.0,
    "prompts": [5, 8],
    "recovers": [],
    "restarted": [],
    "details": ["rollout worker 0 waits for reward: 3 × _grade > compute_score > sleep"],
}


PATIENCE_S = 600.0  # more than any test takes


@pytest.fixture
def ray_says(monkeypatch):
    """A Ray that answers what the test says; the dog looks every few milliseconds."""
    said = SimpleNamespace(
        cluster=cluster(alive("W", "n1")), status=STATUS | {"at": time.time()}, exits=[], silent=[], looks=0
    )

    def look():
        said.looks += 1
        return said.cluster

    monkeypatch.setattr(watchdog.atexit, "register", lambda _: None)  # it would end pytest
    monkeypatch.setattr(watchdog.os, "_exit", said.exits.append)  # and so would this
    monkeypatch.setattr(watchdog, "LAST_EXIT_S", 0.2)
    monkeypatch.setattr(watchdog, "POLL_S", 0.01)
    monkeypatch.setattr(watchdog, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(watchdog, "TRAINER_FAILS_FIRST_S", 0.01)
    monkeypatch.setattr(watchdog.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray_tables, "look", look)
    monkeypatch.setattr(ray_tables, "silent", lambda _: said.silent)
    monkeypatch.setattr(ray_tables, "patience_s", lambda: PATIENCE_S)
    monkeypatch.setattr(progress, "read_status", lambda: said.status)
    before = signal.getsignal(watchdog.SIGNAL)
    yield said
    for thread in threading.enumerate():  # none may outlive what is patched here
        if thread.name.startswith("rlvr-watchdog"):
            thread.join(300)
            assert not thread.is_alive()
    signal.signal(watchdog.SIGNAL, before)


@pytest.fixture
def start(tmp_path):
    """``start(timeout_s, stop)``: a dog that watches a run in ``tmp_path / "run"``."""

    def start(timeout_s: float | None, stop: bool) -> Watchdog:
        dog = Watchdog()
        settings = {"default_local_dir": str(tmp_path / "run"), "watchdog": {"timeout_s": timeout_s, "stop": stop}}
        dog.on_job_start(OmegaConf.create({"trainer": settings}))
        return dog

    return start


def work(until=lambda: False) -> None:
    """The main thread, inside the job."""
    deadline = time.monotonic() + 300
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def looks(ray_says, more: int):
    """Until the dog has looked ``more`` times again, so that it had its chance to speak."""
    enough = ray_says.looks + more
    return lambda: ray_says.looks >= enough


def end(dog: Watchdog, error: Exception | None = None) -> None:
    status = JobStatus.COMPLETED if error is None else JobStatus.FAILED
    dog.on_job_end(OmegaConf.create(), SimpleNamespace(status=status, _return_value=error))
