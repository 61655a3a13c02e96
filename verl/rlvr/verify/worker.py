"""A worker: ``python -m rlvr.verify.worker WORK``, one JSON request a line in, one JSON reply a line out.

``WORK`` names a module of :data:`WORK`: the symbolic layer of mathematics, or the scorers of reasoning-gym. The process that is
started loads its libraries once and then forks a child that does the work. A child that is over its deadline or dead is killed
and replaced by the next fork, in milliseconds, with everything already loaded. The forking process has one thread
and nothing of ours in it (no CUDA, no Ray, no locks), so forking is safe whatever the caller runs in. The deadline is of the
child's processor time, which the kernel counts: how busy the machine is makes no right answer a wrong one. ``patience`` bounds
the time by the clock, for what neither computes nor ends. Memory is limited with RLIMIT_AS; an alarm ends a child that its parent
can no longer kill; the end of stdin, which the kernel closes when the caller dies however it dies, ends both. Deliberately left
out: scheduling (:mod:`rlvr.verify.pool`).
"""

import contextlib
import importlib
import json
import logging
import os
import resource
import select
import signal
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, TextIO

from rlvr.verify.verdict import TIMEOUT

WORK = {
    "mathematics": "rlvr.verify.mathematics",
    "reasoning_gym": "rlvr.verify.scorer",
    "math_verify": "rlvr.verify.mathverify",
}
MEMORY = 2 << 30
GRACE = 0.5  # seconds after which an orphan kills itself
RECYCLE = 2000  # requests after which a child is replaced: sympy's caches only grow


def main(work_name: str) -> None:
    requests, replies = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    # What a library prints must not end up between two replies.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller's Ctrl-C is the caller's
    logging.disable(logging.CRITICAL)
    work = importlib.import_module(WORK[work_name])
    work.load()
    _limit_memory()
    _send(replies, {"ready": True})
    child: _Child | None = None
    for line in requests:
        request = json.loads(line)
        # Whatever goes wrong here goes wrong in the child too, where it is reported.
        with contextlib.suppress(Exception):
            if work.prepare(request) and child is not None:  # forked before that was there
                child.kill()
                child = None
        if child is None or child.served >= RECYCLE:
            if child is not None:
                child.kill()
            child = _Child(work, replies, requests)
        reply = child.ask(line, request["patience"])
        if not child.alive:
            child = None
        _send(replies, {"id": request["id"], **reply})
    if child is not None:
        child.kill()


class _Child:
    """A forked process that answers requests until it is killed."""

    def __init__(self, work: ModuleType, *inherited: TextIO) -> None:
        down, self.requests = os.pipe()
        self.replies, up = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for file in (self.requests, self.replies, *(stream.fileno() for stream in inherited)):
                os.close(file)
            _serve(work, down, up)
        os.close(down)
        os.close(up)
        self.alive = True
        self.served = 0

    def ask(self, line: str, patience: float) -> dict[str, Any]:
        """The child's reply, or why there is none: over the deadline, over ``patience`` seconds by the clock, or dead."""
        self.served += 1
        os.write(self.requests, line.encode())
        ready, _, _ = select.select([self.replies], [], [], patience)
        reply = os.read(self.replies, 65536) if ready else None
        if reply:
            return json.loads(reply)
        ended_by = self.kill()
        return {"error": TIMEOUT if reply is None or ended_by == signal.SIGPROF else "died"}

    def kill(self) -> int | None:
        """Returns the signal that ended the child: another than SIGKILL if it was ending already."""
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.requests)
        os.close(self.replies)
        self.alive = False
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def _serve(work: ModuleType, down: int, up: int) -> None:
    """The child's whole life; never returns."""
    for end in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(end, signal.SIG_DFL)
    for line in _lines(down):
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["patience"] + GRACE)
        signal.setitimer(
            signal.ITIMER_PROF, request["deadline"]
        )  # of this process's own time, the kernel's for it included
        # sympy and scorers raise whatever they like on odd input; the caller counts it
        try:
            reply: dict[str, Any] = work.answer(request)
        except BaseException as error:  # noqa: BLE001  (math-verify's TimeoutException and RecursionError among them)
            reply = {"error": f"error: {type(error).__name__}: {str(error)[:200]}"}
        for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        os.write(up, json.dumps(reply).encode())
    os._exit(0)


def _lines(file: int) -> Iterator[str]:
    with os.fdopen(file, "r") as stream:
        yield from stream


def _send(stream: TextIO, reply: dict[str, Any]) -> None:
    stream.write(json.dumps(reply) + "\n")
    stream.flush()


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    sys.setrecursionlimit(3000)
    main(sys.argv[1])
