"""The launcher and the fork server, without Ray: a worker is a script with arguments, an environment and streams."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rlvr.cluster.cpus import WORKER_NICENESS
from rlvr.cluster.nodes import JoinCluster
from rlvr.cpu import forkserver
from rlvr.cpu.callback import PY_EXECUTABLE, ForkServer

LAUNCHER = Path(forkserver.__file__).with_name("launch_worker.py")
# In a process of its own, as in a run: nothing else is imported, so forking is safe. Ray is a stand-in.
SERVER = """
import socket, sys, types
sys.modules["ray._raylet"] = types.SimpleNamespace(Config=types.SimpleNamespace(initialize=lambda text: None))
from rlvr.cpu import forkserver
forkserver.preload = lambda: None
forkserver.serve(socket.socket(fileno=int(sys.argv[1])))
"""
WORKER = """
import os, sys
print("arguments", sys.argv[1:], "variable", os.environ.get("WORKER"), "folder", os.getcwd(), "name", __name__)
print("to stderr", file=sys.stderr)
print("forked", os.environ.get("INHERITED"))
sys.exit(3)
"""
# Imports what a run's server imports, forks twice, and says which id Ray would give to the first task of each fork.
FORKS = """
import os
import ray
from rlvr.cpu import forkserver
forkserver.preload()
for _ in range(2):
    if os.fork() == 0:
        os.write(1, f"id {ray.TaskID.for_fake_task(ray.JobID.from_int(1)).hex()}\\n".encode())
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def address(tmp_path):
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(8)
    command = [sys.executable, "-c", SERVER, str(listener.fileno())]
    server = subprocess.Popen(command, pass_fds=[listener.fileno()], env=os.environ | {"INHERITED": "from the server"})
    listener.close()
    yield path
    server.kill()
    server.wait()


def launch(address: str, script: Path, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-I", "-S", str(LAUNCHER), address, str(script), "--port=1", "a b"]
    environment = os.environ | {"WORKER": "yes"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_a_worker_has_its_own_arguments_environment_folder_and_streams(address, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    for _ in range(2):
        result = launch(address, script, tmp_path)
        assert f"arguments ['--port=1', 'a b'] variable yes folder {tmp_path} name __main__" in result.stdout
        assert result.stderr == "to stderr\n"
        assert "forked None" in result.stdout, "the server's own environment is not the worker's"


def test_a_worker_that_fails_says_so_and_the_server_goes_on(address, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("raise ValueError('broken')")
    assert "ValueError: broken" in launch(address, script, tmp_path).stderr
    script.write_text(WORKER)
    assert "arguments" in launch(address, script, tmp_path).stdout


def test_without_a_server_the_launcher_is_the_interpreter(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    result = launch(str(tmp_path / "nobody"), script, tmp_path)
    assert "arguments ['--port=1', 'a b'] variable yes" in result.stdout
    assert result.returncode == 3


def test_a_long_request_arrives_whole(tmp_path):
    """More than one read of the socket."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    body = b'{"arguments": ["' + b"x" * 500_000 + b'"]}'
    read, write = os.pipe()
    with here, there:
        rights = (
            socket.SOL_SOCKET,
            socket.SCM_RIGHTS,
            b"".join(n.to_bytes(4, sys.byteorder) for n in (read, write, 2)),
        )
        there.sendmsg([len(body).to_bytes(8, "big")], [rights])
        sender = threading.Thread(target=there.sendall, args=(body,))
        sender.start()
        request, streams = forkserver.receive(here)
        sender.join()
    assert len(request["arguments"][0]) == 500_000
    assert len(streams) == 3
    os.write(streams[1], b"!")
    assert os.read(read, 1) == b"!"
    for stream in (*streams, read, write):
        os.close(stream)


def test_workers_do_not_share_ray_ids():
    """Two tasks of one id kill the actor that gets both: two rollout workers and one vLLM server, for instance."""
    result = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=300)
    ids = [line for line in result.stdout.splitlines() if line.startswith("id ")]
    assert len(ids) == 2, result.stderr
    assert ids[0] != ids[1]


@pytest.mark.parametrize("address, forked", [(None, True), ("local", True), ("10.0.0.1:6379", False)])
def test_a_run_that_starts_ray_for_itself_forks_its_workers(monkeypatch, address, forked):
    """At the priority of the driver, whatever else keeps the cores busy; "local" is what JoinCluster makes of no address."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv(WORKER_NICENESS, "")  # so that it is as it was afterwards
    monkeypatch.delenv(WORKER_NICENESS)
    monkeypatch.setattr(forkserver, "start", lambda: "the launcher")
    config = OmegaConf.create({"ray_kwargs": {"ray_init": {"address": address}}})
    JoinCluster().on_run_start(config)
    ForkServer().on_run_start(config)
    assert OmegaConf.select(config, PY_EXECUTABLE) == ("the launcher" if forked else None)
    assert os.environ.get(WORKER_NICENESS) == ("0" if forked else None)
