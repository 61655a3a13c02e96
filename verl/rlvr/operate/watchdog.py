"""Watches a run from the driver: a run that stands still says where it waits, a run that lost a worker or a node ends and says so.

A Hydra callback that configs/rlvr.yaml names, so that upstream's entry point runs it. ``trainer.watchdog.timeout_s``: seconds
without progress after which it speaks (null: never; a start has ten minutes at least); ``trainer.watchdog.stop``: whether it then
ends the run. Its exit codes: :mod:`rlvr.cluster.exit_codes`.

What the trainer does comes from :mod:`rlvr.training.progress`; what is lost from Ray's own tables
(:mod:`rlvr.cluster.ray_tables`), whatever the error says that the run ended with, and from the kernel where Ray's own processes are
children of the driver (:mod:`rlvr.cluster.ray_processes`). Deliberately left out: restarting, which a scheduler does better, and
the death of the head of a cluster that ran before, which ends every driver by itself.
"""

import atexit
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from ray.exceptions import RpcError

from rlvr import machine
from rlvr.cluster import ray_tables
from rlvr.cluster.exit_codes import EXIT_LOST, EXIT_STALLED, EXIT_UNWRITTEN
from rlvr.cluster.ray_processes import RayProcesses
from rlvr.cluster.ray_tables import Cluster
from rlvr.operate.running import mark_running
from rlvr.training import progress
from rlvr.training.stop_file import stopped

NOTES = "watchdog.jsonl"
# What the operating system and torch's writer say of a file that cannot be written.
UNWRITTEN = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed writing")
# What Ray says where its own processes did not answer within the 30 s that it gives them, which is no setting of its.
NOT_STARTED = "timed out during startup"
POLL_S = 2.0
RAY_STARTS_S = 0.2  # between two looks for Ray's processes
ASK_AGAIN_S = 0.5  # after a failure, between two looks into Ray's tables
TRAINER_FAILS_FIRST_S = (
    10.0  # after a loss: the time that the trainer has to fail by itself, with a traceback of its own
)
LETS_GO_S = 60.0  # how long before the driver hears of a failure the trainer may have let go of its workers
SILENT_S = 60.0  # a trainer process that publishes nothing for so long does not answer
LAST_EXIT_S = 60.0
SIGNAL = signal.SIGUSR2  # from the watching thread to the main thread, which is inside ray.get


def standing_still(status: Mapping[str, Any]) -> float:
    """Seconds without progress: what the trainer says (its details fit that), and its silence if it says nothing any more."""
    silence = time.time() - status["at"]
    return status["idle_s"] + (silence if silence > SILENT_S else 0.0)


def during(status: Mapping[str, Any] | None) -> str:
    """What the trainer does, or did when it failed, in words."""
    return "the start" if status is None else f"{status['phase']} of step {status['step']}"


def replaced(cluster: Cluster, status: Mapping[str, Any] | None, failed: bool) -> set[str]:
    """Ids of the workers whose death the trainer makes good, or has made good (:mod:`rlvr.training.recovery`)."""
    if status is None:
        return set()
    now = set() if failed else {one for one, worker in cluster.workers.items() if worker.name in status["recovers"]}
    return now | set(status["restarted"])


def killed_for_memory() -> int:
    """Processes that this machine's kernel has killed for want of memory since it started."""
    counts = Path("/proc/vmstat").read_text().split()
    return int(counts[counts.index("oom_kill") + 1]) if "oom_kill" in counts else 0


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
        if worker.state == "DEAD" and not worker.lost:
            continue
        node = cluster.nodes.get(worker.node_id) if worker.pid else None
        state = worker.state if node is None or node.alive else "DEAD (node lost)"
        key = (state, worker.name, node.name if node else "no node yet")
        groups[key] = groups.get(key, 0) + 1
    lines += [f"{count} × {name} {state} on {node}" for (state, name, node), count in sorted(groups.items())]
    return lines


class Watchdog(Callback):
    """Starts with the job, ends with it; ends it where it must."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.over = threading.Event()  # Ray's processes may end
        self.ray_processes = RayProcesses()
        self.now = during(None)  # what the trainer did at the last look
        self.looking = threading.Lock()  # the watching and the main thread may look at the same time
        self.seen = Cluster()
        self.seen_alive: dict[str, float] = {}  # actor id -> when, of the monotonic clock
        self.failed_at: float | None = None
        self.killed_before = killed_for_memory()
        self.during = ""
        self.lost: list[str] = []
        self.said: set[str] = set()
        self.folder: Path | None = None
        self.step = 0

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        settings = config.trainer.watchdog
        self.folder = Path(config.trainer.default_local_dir)
        self.timeout_s = settings.timeout_s
        self.stop = bool(settings.stop)
        self.exit_code = 0
        mark_running()
        signal.signal(SIGNAL, self._leave)
        self.ray_processes.adopt_orphans()
        threading.Thread(target=self._watch, name="rlvr-watchdog", daemon=True).start()
        threading.Thread(target=self._watch_ray, name="rlvr-watchdog-ray", daemon=True).start()

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        self.ended.set()
        try:
            if job_return.status == JobStatus.FAILED:
                self._explain(job_return._return_value)
        finally:
            self.over.set()

    def _explain(self, error: BaseException) -> None:
        """Leave with the exit code of what the run failed of; return where that is the run's own error."""
        if not ray.is_initialized():
            time.sleep(2 * RAY_STARTS_S)  # time to see that it failed because one of Ray's processes ended
            if NOT_STARTED in str(error):
                traceback.print_exception(error)
                self._say(not_started_report())
                sys.exit(EXIT_STALLED)
            return
        if stopped(error):
            self._say(
                [
                    f"the run was asked to stop and has saved its last step; exit code {EXIT_STALLED}: the same command goes on"
                ]
            )
            sys.exit(EXIT_STALLED)
        self.failed_at = time.monotonic()
        unwritten = write_failure(error)
        if unwritten is not None:
            traceback.print_exception(error)
            self._say(unwritten_report(unwritten, during(progress.read_status()), self.folder or Path()))
            sys.exit(EXIT_UNWRITTEN)
        self._wait_for_ray()
        if self.lost:
            # Hydra would print it, but would also end with exit code 1.
            traceback.print_exception(error)
            self._say([*self.lost, f"stopping the run with exit code {EXIT_LOST}: it failed because of this loss"])
            sys.exit(EXIT_LOST)

    def _wait_for_ray(self) -> None:
        """Look until Ray's tables agree with what answers: an error can be here long before Ray gives its cause up.

        Where everybody answers, that is at the second look.
        """
        patience = ray_tables.patience_s()
        deadline = time.monotonic() + patience
        answered = False
        while True:
            # In this order: who answers now was alive at the failure, and who does not may be in the tables by now.
            silent = ray_tables.silent(ray_tables.look())
            self._notice_losses()
            if not silent and answered:
                return
            if time.monotonic() > deadline:
                self._say([f"Ray still calls alive what does not answer: {', '.join(silent)}"])
                return
            if silent:
                self._say_once(
                    f"no answer from {', '.join(silent)}: waiting up to {patience:.0f} s for Ray to say whether it is lost"
                )
            answered = not silent
            time.sleep(ASK_AGAIN_S)

    def _watch(self) -> None:
        started = time.monotonic()
        spoke_at = 0.0  # seconds of standing still at which it spoke last
        while not self.ended.wait(POLL_S):
            connected = ray.is_initialized()
            try:
                if connected and self._notice_losses():
                    self._wait_for_ray()
                    if not self.ended.wait(TRAINER_FAILS_FIRST_S) and self._notice_losses():
                        self._end(EXIT_LOST)
                        return
                    continue
                status = progress.read_status() if connected else None
                self.step, self.now = (status["step"] if status else self.step), during(status)
            except RpcError as error:  # a busy head; where it is dead, Ray ends this process
                self._say([f"Ray's head did not answer: {str(error).splitlines()[0]}"])
                continue
            idle = time.monotonic() - started if status is None else standing_still(status)
            limit = progress.limit(self.timeout_s, status is None or status["starting"])
            if idle < limit:
                spoke_at = 0.0
            elif idle > spoke_at + limit:
                spoke_at = idle
                self._say(stall_report(status, idle, self.seen))
                if self.stop:
                    self._end(EXIT_STALLED)
                    return

    def _watch_ray(self) -> None:
        """Without Ray's own processes nothing can be asked any more: all that is left of the run ends with this process."""
        while not self.over.is_set():
            ended = self.ray_processes.wait(POLL_S if ray.is_initialized() else RAY_STARTS_S)
            if ended and not self.over.is_set():
                self._say(
                    [
                        *(f"lost {one} during {self.now}" for one in ended),
                        *self._killed_for_memory(),
                        f"stopping the run with exit code {EXIT_LOST}: the same command resumes from the last checkpoint",
                    ]
                )
                sys.stdout.flush()
                self.ray_processes.end_family()
                os._exit(EXIT_LOST)

    def _notice_losses(self) -> bool:
        """Look, remember what is lost, and say each loss once."""
        with self.looking:
            self.seen = ray_tables.look()
            status = progress.read_status()
            found = ray_tables.losses(self.seen, self._lived(), replaced(self.seen, status, self.failed_at is not None))
            if found and not self.lost:
                self.during = during(status)
            self.lost = [f"{loss.what} during {self.during}: {loss.cause}" for loss in found]
            new = [line for line in self.lost if line not in self.said]
            if new:
                self._say([*new, *self._killed_for_memory(), "the same command resumes from the last checkpoint"])
                self.said.update(new)
            return bool(self.lost)

    def _lived(self) -> set[str]:
        """Ids of the workers that lived when the run failed, and of those that it may have let go on its way to the driver."""
        now = time.monotonic()
        self.seen_alive |= {actor_id: now for actor_id, one in self.seen.workers.items() if one.state == "ALIVE"}
        if self.failed_at is None:
            return set()
        return {actor_id for actor_id, at in self.seen_alive.items() if at > self.failed_at - LETS_GO_S}

    def _killed_for_memory(self) -> list[str]:
        """Ray cannot tell a process that the kernel killed for want of memory from one that died otherwise."""
        killed = killed_for_memory() - self.killed_before
        return [f"since the start the kernel of the driver's machine has killed {killed} processes for memory"] * bool(
            killed
        )

    def _say(self, lines: list[str]) -> None:
        say(lines)
        if self.folder is not None:
            try:
                note(self.folder, self.step, lines)
            except OSError as error:  # a full disk: no reason to stop watching
                say([f"{self.folder / NOTES} cannot be written: {error}"])

    def _say_once(self, line: str) -> None:
        if line not in self.said:
            self.said.add(line)
            self._say([line])

    def _end(self, exit_code: int) -> None:
        """Make the main thread leave with ``exit_code``: it cleans up, and if it cannot, the process ends anyway."""
        meaning = "a node or worker was lost" if exit_code == EXIT_LOST else "trainer.watchdog.stop=true"
        self._say([f"stopping the run with exit code {exit_code}: {meaning}"])
        self.exit_code = exit_code
        self.over.set()
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


def write_failure(error: BaseException) -> str | None:
    """The line of an error, with those that Ray brought from other processes, that says that a file could not be written."""
    text = "".join(traceback.format_exception(error))
    return next((line.strip() for line in reversed(text.splitlines()) if any(mark in line for mark in UNWRITTEN)), None)


def unwritten_report(error: str, phase: str, folder: Path) -> list[str]:
    """What was not written, how full the disk is, and what to do."""
    where = machine.existing(folder)
    free = shutil.disk_usage(where).free / 2**30
    return [
        f"a file could not be written during {phase}: {error}",
        f"{free:.1f} GiB are free at {where}; complete checkpoints stay as they are",
        f"stopping the run with exit code {EXIT_UNWRITTEN}: make room, then the same command resumes",
    ]


def not_started_report() -> list[str]:
    """What Ray's start stumbled over, and what to do."""
    return [
        f"Ray's own processes did not start in the time that Ray gives them: {os.getloadavg()[0]:.0f} programs want the "
        f"{machine.cores()} cores of this machine, or its disk is slow",
        f"stopping the run with exit code {EXIT_STALLED}: the same command starts it again, best when the machine is less busy",
    ]


def note(folder: Path, step: int, lines: list[str]) -> None:
    """Append what was said to ``watchdog.jsonl`` beside the checkpoints: ``time``, ``step``, ``lines``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NOTES).open("a") as file:
        file.write(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "step": step, "lines": lines}) + "\n")


def say(lines: list[str]) -> None:
    """To standard error, where the driver's log goes."""
    print("\n".join(f"watchdog: {line}" for line in lines), file=sys.stderr, flush=True)
