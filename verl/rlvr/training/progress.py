"""What the trainer is doing right now, published for the watchdog in the driver (:mod:`rlvr.operate.watchdog`).

The trainer runs inside a Ray actor and is busy in one long call, so nobody can ask it. A thread beside it writes the phase, how
long nothing has moved, and when that is too long where it waits, into Ray's key-value store; a trainer that fails leaves the phase
there in which it failed. Something moved when a phase
began or ended, or when a prompt's samples were finished. Deliberately left out: any decision, which is the watchdog's.
"""

import asyncio
import contextlib
import functools
import gc
import json
import math
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

PUBLISH_EVERY_S = 2.0
ASK_WORKERS_S = 5.0  # how long rollout workers may take to say what they do
LOOK_CLOSER_EVERY_S = 60.0
NAMESPACE = b"rlvr"
FRAMES = 8
RAY_FOLDER = str(Path(ray.__file__).parent)
START_S = 600.0  # a start (model loading, rollout servers) may take this long, however short the timeout

START = "start of workers and rollout servers"
ROLLOUT = "rollout and reward"
WEIGHT_SYNC = "weight sync"
LOOK = "look at rollout servers"
RESTART = "restart of rollout servers"
BETWEEN = "between phases"
# Methods of upstream's trainer -> what the phase is called.
PHASES = {
    "_setup": START,
    "_load_checkpoint": "load checkpoint",
    "on_init_end": WEIGHT_SYNC,
    "_validate": "validation",
    "prepare_step": ROLLOUT,
    "on_sample_end": ROLLOUT,
    "_compute_reward_colocate": "reward",
    "_balance_batch": "balance of the batch",
    "_compute_old_log_prob": "old log-prob",
    "_compute_ref_log_prob": "reference log-prob",
    "_compute_values": "values",
    "_compute_advantage": "advantage",
    "_update_critic": "critic update",
    "_update_actor": "actor update",
    "_save_checkpoint": "save checkpoint",
    "on_step_end": WEIGHT_SYNC,
}


class Progress:
    """Follows one trainer; make it in the trainer's thread.

    Args:
        trainer: an instance of upstream's ``PPOTrainer``, whose methods in :data:`PHASES` are wrapped.
        timeout_s: seconds without progress after which it looks closer (see :func:`limit`); None for never.
    """

    def __init__(self, trainer: Any, timeout_s: float | None):
        self.trainer = trainer
        self.timeout_s = timeout_s
        self.thread_id = threading.get_ident()
        self.phases: list[str] = []
        self.failed_in = ""
        self.key: bytes | None = None
        self.changed = threading.Event()
        self.starting = True
        self.finished = 0
        self.moved_at = time.monotonic()
        self.looked_at: float | None = None
        self.details: list[str] = []
        for method, phase in PHASES.items():
            setattr(trainer, method, self.followed(getattr(trainer, method), phase))
        trainer.replay_buffer.sample = self.followed(trainer.replay_buffer.sample, ROLLOUT)

    def followed(self, method: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """``method``, which is called in the trainer's thread, as a phase."""

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.starting = self.starting and phase != ROLLOUT
            self.phases.append(phase)
            self.failed_in = ""
            self._moved()
            self.changed.set()
            try:
                return method(*args, **kwargs)
            except BaseException:
                if not self.failed_in:  # the innermost phase says most
                    self.failed_in = self._phase()
                raise
            finally:
                self.phases.pop()
                self._moved()
                self.changed.set()
                if self.failed_in:
                    self.publish()  # now: the driver hears of the error next

        return call

    def _phase(self) -> str:
        return self.failed_in or " > ".join(self.phases) or (START if self.starting else BETWEEN)

    def _moved(self) -> None:
        self.moved_at = time.monotonic()
        self.looked_at = None

    def publish_forever(self) -> None:
        """Start the thread that publishes :meth:`status`, every few seconds and at each change; needs a connection to Ray."""
        self.key = progress_key()

        def run() -> None:
            while True:
                self.changed.clear()
                self.publish()
                self.changed.wait(PUBLISH_EVERY_S)

        threading.Thread(target=run, name="rlvr-progress", daemon=True).start()

    def publish(self) -> None:
        """Now; a head that is too busy to take it gets the next one."""
        if self.key is not None:
            with contextlib.suppress(ray.exceptions.RpcError):
                _internal_kv_put(self.key, json.dumps(self.status()).encode(), overwrite=True, namespace=NAMESPACE)

    def status(self) -> dict[str, Any]:
        """What the driver reads.

        Returns:
            ``phase``, ``step``, ``starting`` (before the first rollout, or servers start anew), ``idle_s`` (seconds without
            progress), ``prompts`` (finished, all; None without any), ``details`` (lines of text), ``at`` (Unix time),
            ``recovers`` (classes of the actors that are started anew if they die now), ``restarted`` (ids of those that were).
        """
        finished, prompts = self._prompts()
        if finished != self.finished:
            self.finished = finished
            self._moved()
        now = time.monotonic()
        idle = now - self.moved_at
        phases = list(self.phases)
        starting = self.starting or RESTART in phases
        recovery = getattr(self.trainer, "recovery", None)
        if idle < limit(self.timeout_s, starting):
            self.details = []
        elif self.looked_at is None or now - self.looked_at > LOOK_CLOSER_EVERY_S:
            self.details = [*self._rollout_workers(), *self._stack()]
            self.looked_at = now
        return {
            "phase": self._phase(),
            "step": getattr(self.trainer, "global_steps", 0),
            "starting": starting,
            "idle_s": idle,
            "prompts": [finished, prompts] if prompts else None,
            "details": self.details,
            "at": time.time(),
            # While weights are synced, every training worker waits for every server.
            "recovers": list(recovery.classes) if recovery and phases[-1:] != [WEIGHT_SYNC] else [],
            "restarted": list(recovery.restarted) if recovery else [],
        }

    def _prompts(self) -> tuple[int, int]:
        """(finished, all) prompts in the replay buffer, as of its last look into TransferQueue."""
        buffer = self.trainer.replay_buffer
        finished = _size(buffer.finished_keys) + _size(buffer.failure_keys)
        return finished, finished + _size(buffer.pending_keys) + _size(buffer.running_keys)

    def _rollout_workers(self) -> list[str]:
        """What each rollout worker waits for, one line a kind of wait; only while rollouts are under way."""
        manager = getattr(self.trainer, "agent_loop_manager", None)
        if manager is None or ROLLOUT not in self.phases:
            return []
        lines = []
        asked = {worker.__ray_call__.remote(waits): worker for worker in manager.agent_loop_workers}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ASK_WORKERS_S)
        for number, answer in enumerate(asked):
            name = f"rollout worker {number}"
            if answer not in ready:
                lines.append(f"{name} does not answer (its event loop is blocked, or it is dead)")
                continue
            try:
                found = ray.get(answer)
            except ray.exceptions.RayError as error:
                lines.append(f"{name} cannot be asked: {type(error).__name__}")
                continue
            lines += [f"{name} waits for {what_for(chain)}: {n} × {chain}" for chain, n in sorted(found.items())]
        return lines

    def _stack(self) -> list[str]:
        """Where the trainer's own thread is."""
        frame = sys._current_frames().get(self.thread_id)
        if frame is None:
            return ["the trainer's thread has ended"]
        frames = traceback.extract_stack(frame)[-FRAMES:]
        return ["the trainer is in"] + [f"  {one.filename}:{one.lineno} {one.name}" for one in frames]


def limit(timeout_s: float | None, starting: bool) -> float:
    """Seconds without progress that are too many; infinite for a timeout of None."""
    if timeout_s is None:
        return math.inf
    return max(timeout_s, START_S) if starting else timeout_s


def _size(keys: dict[str, set]) -> int:
    return sum(len(group) for group in list(keys.values()))


def waits(_: Any) -> dict[str, int]:
    """Runs inside a rollout worker: chains of coroutines, each waiting for the next, and how many tasks wait so.

    The one that waits for the worker's end (:mod:`rlvr.training.recovery`) is left out.
    """
    # Ray calls this from another thread than the one with the event loop, and does not say which loop it is.
    tasks = [one for one in gc.get_objects() if issubclass(type(one), asyncio.Task) and not one.done()]
    chains = (await_chain(task.get_coro()) for task in tasks)
    return dict(Counter(chain for chain in chains if chain and not chain.startswith("until_lost")))


def await_chain(coroutine: Any) -> str:
    """Names of a coroutine and of those that it waits for, down to the last that is Python's.

    Ray's own are left out: it wraps every method of an actor. A chain of nothing else is empty.
    """
    names = []
    while coroutine is not None and hasattr(coroutine, "cr_code"):
        code = coroutine.cr_code  # None: compiled, as Ray's own
        if code is not None and not code.co_filename.startswith(RAY_FOLDER):
            names.append(coroutine.__name__)
        coroutine = coroutine.cr_await
    return " > ".join(names)


def what_for(chain: str) -> str:
    """``reward``, ``generation`` or ``something else``: by the names of our and upstream's methods."""
    if "_grade" in chain.split(" > ") or "compute_score" in chain:
        return "reward"
    return "generation" if chain.split(" > ")[-1] in ("_generate", "generate") else "something else"


def progress_key() -> bytes:
    """The key of this Ray job's status; the same in the driver and in the trainer."""
    return f"progress/{ray.get_runtime_context().get_job_id()}".encode()


def read_status() -> dict[str, Any] | None:
    """The last status that the trainer of this Ray job published; None before the first."""
    value = _internal_kv_get(progress_key(), namespace=NAMESPACE)
    return json.loads(value) if value else None
