"""Watches a run from the driver: a run that stands still says where it waits, a run that lost a worker or a node ends and says so.

A Hydra callback that configs/rlvr.yaml names, so that upstream's entry point runs it. ``trainer.watchdog.timeout_s``: seconds
without progress after which it speaks (null: never; a start has ten minutes at least); ``trainer.watchdog.stop``: whether it then
ends the run.

| exit code | |
| --- | --- |
| 75 | stopped by the watchdog: no progress (EX_TEMPFAIL: worth another start) |
| 76 | a node or a worker was lost: start it again when the node is back; it resumes |

What the trainer does comes from :mod:`rlvr.training.progress`; workers and nodes from Ray's own tables. Deliberately left out:
restarting, which a scheduler does better, and the death of Ray's head, which ends every driver by itself.
"""

import atexit
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from ray.exceptions import RayActorError, RayError, RayTaskError

from rlvr.training import progress

EXIT_STALLED = 75
EXIT_LOST = 76
POLL_S = 2.0
TRAINER_FAILS_FIRST_S = (
    10.0  # after a loss: the time that the trainer has to fail by itself, with a traceback of its own
)
RAY_NOTICES_S = 5.0  # after a failure: how long Ray may take to notice that a process is dead
RAY_NOTICES_A_NODE_S = 60.0  # the same for a node that vanished: Ray waits for several heartbeats
CONNECTION = re.compile(r"gloo|nccl|connection|unavailable|socket|heartbeat|peer", re.IGNORECASE)
SILENT_S = 60.0  # a trainer process that publishes nothing for so long does not answer
LAST_EXIT_S = 60.0
SIGNAL = signal.SIGUSR2  # from the watching thread to the main thread, which is inside ray.get
ORDERLY = ("RAY_KILL", "OUT_OF_SCOPE", "REF_DELETED")
OWNER_DIED = "OWNER_DIED"


@dataclass(frozen=True)
class Worker:
    """A Ray actor of this run; ``reason`` (Ray's word) and ``cause`` say why it is dead."""

    name: str
    state: str
    node_id: str
    pid: int
    cause: str = ""
    reason: str = ""
    orderly: bool = False


@dataclass
class Cluster:
    """What Ray says about this run: workers by actor id, nodes by node id as (name, alive)."""

    workers: dict[str, Worker] = field(default_factory=dict)
    nodes: dict[str, tuple[str, bool]] = field(default_factory=dict)


def look() -> Cluster:
    """Ask Ray; needs a connection."""
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    nodes = {
        node["NodeID"]: (f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})", node["Alive"])
        for node in ray.nodes()
    }
    records = ray._private.state.actors(job_id=job)
    return Cluster({actor_id: read_worker(record) for actor_id, record in records.items()}, nodes)


def read_worker(record: Mapping[str, Any]) -> Worker:
    """A worker from a record of Ray's actor table."""
    cause, reason, orderly = "", "", False
    if record["State"] == "DEAD":
        death = record["DeathCause"]
        died = death.actor_died_error_context
        reason = type(died).Reason.Name(died.reason)
        orderly = death.HasField("actor_died_error_context") and (reason in ORDERLY or "INTENDED" in died.error_message)
        message = death.oom_context.error_message or died.error_message
        cause = message.strip().splitlines()[0] if message.strip() else reason
    return Worker(
        name=record["ActorClassName"].rsplit(".", 1)[-1],
        state=record["State"],
        node_id=record["Address"]["NodeID"],
        pid=record["Pid"],
        cause=cause,
        reason=reason,
        orderly=orderly,
    )


def losses(before: Cluster, now: Cluster) -> list[str]:
    """One line for each lost node, with what ran there, and for each worker that died on a living node.

    Lost is what was alive in ``before`` and is dead in ``now``, but for what the run itself ended and, beside other losses, what
    died with its owner. A node counts where a worker of this run lived on it: other runs' nodes may come and go.
    """
    lost_nodes: dict[str, list[str]] = {}
    lines: list[str] = []
    followed: list[str] = []
    for actor_id, worker in before.workers.items():
        if worker.state != "ALIVE":
            continue
        today = now.workers.get(actor_id, worker)
        name, alive = now.nodes.get(worker.node_id, (worker.node_id, False))
        if not alive:
            lost_nodes.setdefault(worker.node_id, []).append(worker.name)
        elif today.state == "DEAD" and not today.orderly:
            line = f"lost worker {worker.name} (pid {worker.pid}) on node {name}: {today.cause}"
            (followed if today.reason == OWNER_DIED else lines).append(line)
    for node_id, names in lost_nodes.items():
        name = (now.nodes.get(node_id) or before.nodes.get(node_id) or (node_id, False))[0]
        ran = ", ".join(f"{names.count(one)} × {one}" for one in sorted(set(names)))
        lines.insert(0, f"lost node {name}, Ray node {node_id[:8]}, with {ran}")
    return lines or followed


def standing_still(status: Mapping[str, Any]) -> float:
    """Seconds without progress: what the trainer says (its details fit that), and its silence if it says nothing any more."""
    silence = time.time() - status["at"]
    return status["idle_s"] + (silence if silence > SILENT_S else 0.0)


def looks_like_a_loss(error: BaseException) -> bool:
    """Whether a dead process elsewhere may be behind ``error``: Ray says so, or a connection broke."""
    if isinstance(error, RayError) and not isinstance(error, RayTaskError):
        return True
    return isinstance(error, RayActorError) or bool(CONNECTION.search(str(error).strip().rpartition("\n")[2]))


def stall_report(status: Mapping[str, Any] | None, idle_s: float, cluster: Cluster) -> list[str]:
    """Where a run waits, in lines."""
    if status is None:
        lines = [
            f"no progress for {idle_s:.0f} s: the trainer has not started (Ray, or a process that waits for resources)"
        ]
    else:
        prompts = status.get("prompts")
        of_prompts = f", {prompts[0]} of {prompts[1]} prompts finished" if prompts else ""
        lines = [f"no progress for {idle_s:.0f} s: step {status['step']}, waiting in {status['phase']}{of_prompts}"]
        if time.time() - status["at"] > SILENT_S:
            lines.append(f"the trainer's process has said nothing for {time.time() - status['at']:.0f} s")
        lines += status["details"]
    groups: dict[tuple[str, str, str], int] = {}
    for worker in cluster.workers.values():
        if worker.state == "DEAD" and worker.orderly:
            continue
        node, alive = cluster.nodes.get(worker.node_id, ("no node yet", True))
        key = (worker.state if alive else "DEAD (node lost)", worker.name, node)
        groups[key] = groups.get(key, 0) + 1
    lines += [f"{count} × {name} {state} on {node}" for (state, name, node), count in sorted(groups.items())]
    return lines


class Watchdog(Callback):
    """Starts with the job, ends with it; ends it where it must."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.before = Cluster()
        self.lost: list[str] = []

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        settings = config.trainer.watchdog
        self.timeout_s = settings.timeout_s
        self.stop = bool(settings.stop)
        self.exit_code = 0
        signal.signal(SIGNAL, self._leave)
        threading.Thread(target=self._watch, name="rlvr-watchdog", daemon=True).start()

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        self.ended.set()
        if job_return.status != JobStatus.FAILED or not ray.is_initialized():
            return
        error = job_return._return_value
        patience = RAY_NOTICES_A_NODE_S if looks_like_a_loss(error) else RAY_NOTICES_S
        if not self.lost:
            say([f"the run failed with {type(error).__name__}; asking Ray what it lost, for up to {patience:.0f} s"])
        deadline = time.monotonic() + patience
        while not self.lost and time.monotonic() < deadline:
            self._notice_losses()
            time.sleep(0.5)
        if not self.lost and isinstance(error, RayActorError):
            say([f"lost worker: {str(error).splitlines()[-1]}"])
        if self.lost or isinstance(error, RayActorError):
            say([f"stopping the run with exit code {EXIT_LOST}: it failed because of a loss"])
            sys.exit(EXIT_LOST)

    def _watch(self) -> None:
        started = time.monotonic()
        spoke_at = 0.0  # seconds of standing still at which it spoke last
        while not self.ended.wait(POLL_S):
            connected = ray.is_initialized()
            if connected and self._notice_losses():
                if not self.ended.wait(TRAINER_FAILS_FIRST_S):
                    self._end(EXIT_LOST)
                return
            status = progress.read_status() if connected else None
            idle = time.monotonic() - started if status is None else standing_still(status)
            limit = progress.limit(self.timeout_s, status is None or status["starting"])
            if idle < limit:
                spoke_at = 0.0
            elif idle > spoke_at + limit:
                spoke_at = idle
                say(stall_report(status, idle, self.before))
                if self.stop:
                    self._end(EXIT_STALLED)
                    return

    def _notice_losses(self) -> list[str]:
        """Remember what is lost, and say it once."""
        now = look()
        if not self.lost:
            self.lost = losses(self.before, now)
            if self.lost:
                say([*self.lost, "the same command resumes from the last checkpoint"])
        self.before = now
        return self.lost

    def _end(self, exit_code: int) -> None:
        """Make the main thread leave with ``exit_code``: it cleans up, and if it cannot, the process ends anyway."""
        meaning = "a node or worker was lost" if exit_code == EXIT_LOST else "trainer.watchdog.stop=true"
        say([f"stopping the run with exit code {exit_code}: {meaning}"])
        self.exit_code = exit_code
        atexit.register(self._exit)
        os.kill(os.getpid(), SIGNAL)
        time.sleep(LAST_EXIT_S)
        os._exit(exit_code)

    def _leave(self, *_: Any) -> None:
        raise SystemExit(self.exit_code)

    def _exit(self) -> None:
        """At the interpreter's end: inside ``ray.get``, Ray turns every SystemExit into one with code 1."""
        ray.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.exit_code)


def say(lines: list[str]) -> None:
    """To standard error, where the driver's log goes."""
    print("\n".join(f"watchdog: {line}" for line in lines), file=sys.stderr, flush=True)
