"""The kernel says when a process that a run needs has ended; a copy of ``sleep`` stands in for Ray's."""

import shutil
import subprocess
import sys

import psutil
import pytest

from rlvr.cluster.ray_processes import NAMES, RayProcesses


@pytest.fixture
def child(tmp_path):
    """``child(name)``: a process of that name."""
    started: list[subprocess.Popen] = []

    def child(name: str) -> subprocess.Popen:
        program = tmp_path / name
        if not program.exists():
            shutil.copy(shutil.which("sleep") or "", program)
        started.append(subprocess.Popen([program, "600"]))
        return started[-1]

    yield child
    for one in started:
        one.kill()
        one.wait()


def test_it_names_the_one_that_ended(child):
    head, raylet, other = (child(name) for name in (*NAMES, "other"))
    processes = RayProcesses()
    assert processes.wait(0) == []
    other.kill()
    other.wait()
    assert processes.wait(0) == []
    raylet.kill()
    assert processes.wait(600) == [f"Ray's raylet (pid {raylet.pid})"]
    head.kill()
    assert head.wait() and sorted(processes.wait(600)) == [
        f"Ray's gcs_server (pid {head.pid})",
        f"Ray's raylet (pid {raylet.pid})",
    ]


def test_one_that_starts_later_is_seen_too(child):
    processes = RayProcesses()
    assert processes.wait(0) == []
    head = child(NAMES[0])
    assert processes.wait(0) == []
    child(NAMES[1])
    head.kill()
    assert processes.wait(600) == [f"Ray's gcs_server (pid {head.pid})"]


FAMILY = """
import subprocess, time
from rlvr.cluster.ray_processes import RayProcesses
RayProcesses.adopt_orphans()
raylet = subprocess.Popen(["bash", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
agent = int(raylet.stdout.readline())
raylet.kill()
raylet.wait()
RayProcesses.end_family()
print(agent, flush=True)
"""


def test_what_a_dead_raylet_leaves_ends_too():
    agent = int(subprocess.run([sys.executable, "-c", FAMILY], check=True, capture_output=True, text=True).stdout)
    psutil.wait_procs([psutil.Process(agent)] if psutil.pid_exists(agent) else [], timeout=600)
    assert not psutil.pid_exists(agent) or psutil.Process(agent).status() == psutil.STATUS_ZOMBIE
