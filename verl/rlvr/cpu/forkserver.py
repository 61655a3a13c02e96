"""Ray workers forked from one process that has imported everything, instead of a fresh interpreter each.

    configs/machine/cpu.yaml:   hydra.callbacks.forkserver: {_target_: rlvr.cpu.callback.ForkServer}

A run has about ten Ray workers, and each of them imports torch, Ray, verl and vLLM: 4 to 10 s of processor time apiece, which on
two cores is most of the way to the first step. Here one server imports them, while the driver checks the configuration and starts
Ray. Ray starts its workers through :mod:`rlvr.cpu.launch_worker` (its documented ``runtime_env.py_executable``), which asks the
server for a fork that runs Ray's own worker script with the same arguments, environment and standard streams.

Only for a Ray of this machine, and only on the CPU: a CUDA context must not be forked. Without the server (it died, or the
worker runs elsewhere) the launcher starts the interpreter that it would have been.
"""

import array
import atexit
import contextlib
import ctypes
import importlib
import json
import os
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from rlvr import machine
from rlvr.heap import freeze_heap

# What the workers of a run import: the trainer, the training worker, the rollout worker, the vLLM server with its engine.
PRELOADED = (
    "rlvr.training.trainer",
    "rlvr.training.rollout",
    "verl.workers.engine_workers",
    "verl.workers.engine.fsdp.transformer_impl",
    "rlvr.training.vllm_server",
    "rlvr.cpu.inprocess",
    "rlvr.cpu.worker",
    "vllm.model_executor.models.qwen2",
    "transformers.models.qwen2.modeling_qwen2",
    "transformers.models.llama.modeling_llama",
)
FIRST_JOB = "01000000"  # the id that a fresh Ray gives to its first driver
PR_SET_PDEATHSIG = 1


def start() -> str:
    """Start the server; returns the command with which Ray shall start its workers."""
    folder = Path(tempfile.mkdtemp(prefix="rlvr-fork-"))  # mode 0700: only this user may connect
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = str(folder / "socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)  # from here on workers may ask; they wait until the server has imported
    driver = str(os.getpid())
    # Ray reads these two when it is imported, so they cannot wait for the worker's environment. A worker ends itself when the
    # process that it takes for the raylet has gone: here that is the driver.
    environment = os.environ | {"RAY_JOB_ID": FIRST_JOB, "RAY_RAYLET_PID": driver}
    # Read by torch at its import. Ray's own setting would be one thread a worker, whatever the machine.
    environment.setdefault("OMP_NUM_THREADS", str(machine.cores()))
    machine.set_thread_waiting(environment)
    command = [sys.executable, "-m", "rlvr.cpu.forkserver", str(listener.fileno()), driver]
    subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
    listener.close()
    launcher = Path(__file__).with_name("launch_worker.py")
    # -I -S: the launcher needs the standard library alone, and starts in milliseconds
    return shlex.join([sys.executable, "-I", "-S", str(launcher), address])


def die_with(driver: int) -> None:
    """Linux kills this process when its parent is gone, however that ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != driver:
        os._exit(0)


def serve(listener: socket.socket) -> NoReturn:
    """Import, then fork a worker for every connection."""
    # Ctrl-C goes to the whole group of processes: Ray ends its workers, and this process ends with the driver.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers are not waited for
    try:
        preload()
    except Exception:  # noqa: BLE001  (a worker that needs the module says so itself, with its own context)
        traceback.print_exc()
    freeze_heap()  # in the workers a full collection would also unshare the memory that it touches
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            run_worker(connection)
        connection.close()


def preload() -> None:
    """Import with the environment that verl gives to its workers: vLLM reads its log level at import."""
    with actor_classes_without_ray_ids():
        from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

        os.environ.update(get_ppo_ray_runtime_env()["env_vars"])
        for module in PRELOADED:
            importlib.import_module(module)


@contextlib.contextmanager
def actor_classes_without_ray_ids() -> Iterator[None]:
    """``@ray.remote`` classes get their ids from the operating system while this lasts.

    Ray draws ids from a generator that is seeded once a process and that a fork inherits: workers forked after the first draw
    give their tasks the same ids, and an actor that has two tasks of one id dies (``Check failed: erased == 1``). Decorating a
    class is the only draw of an import.
    """
    import ray.actor

    upstream = ray.actor.ActorClassID

    class FromSystem:
        @staticmethod
        def from_random() -> Any:
            return upstream(os.urandom(upstream.size()))

    ray.actor.ActorClassID = FromSystem
    try:
        yield
    finally:
        ray.actor.ActorClassID = upstream


def run_worker(connection: socket.socket) -> NoReturn:
    """Become the process that the launcher would have been; its socket closes when this process ends."""

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        request, streams = receive(connection)
        for stream, number in zip(streams, range(3), strict=True):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.modules["ray._raylet"].Config.initialize("")  # Ray's settings anew from the environment
        os.chdir(request["folder"])
        sys.argv = request["arguments"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (the top of a process: nobody is above to handle it)
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """(arguments, environment and folder; the three standard streams) that the launcher sent."""
    streams = array.array("i")
    size = 3 * streams.itemsize
    message, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_LEN(size))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            streams.frombytes(data[:size])
    length = int.from_bytes(message, "big")
    body = b""
    while len(body) < length and (part := connection.recv(length - len(body))):
        body += part
    return json.loads(body), list(streams)


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    serve(socket.socket(fileno=int(sys.argv[1])))
