"""Ray's own processes of a run that starts Ray for itself: without its head (``gcs_server``) or its ``raylet`` nothing goes on.

Ray's tables cannot say that the one who keeps them is gone, and a node's death they say late; the kernel says it at once.
Deliberately left out: a cluster that runs already (``RAY_ADDRESS``), whose head may be on another machine, and kernels before 5.3,
which cannot say it.
"""

import contextlib
import ctypes
import os
import select

import psutil

NAMES = ("gcs_server", "raylet")
PR_SET_CHILD_SUBREAPER = 36


class RayProcesses:
    """Those among the children of this process."""

    def __init__(self) -> None:
        self.watched: dict[int, str] = {}  # descriptor -> what it is, in words
        self.known: dict[int, str] = {}

    def wait(self, seconds: float) -> list[str]:
        """Those that have ended, in words, as soon as there are any; looks for new ones first."""
        if set(self.known.values()) != set(NAMES):  # reading every process of the machine takes a while
            self._find()
        ended, _, _ = select.select(self.watched, [], [], seconds)
        return [self.watched[descriptor] for descriptor in ended]

    @staticmethod
    def adopt_orphans() -> None:
        """What a dead process of this one's family leaves becomes its child: agents outlive their raylet by more than a minute."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    @staticmethod
    def end_family() -> None:
        """Every process that this one started, and theirs."""
        for one in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()

    def _find(self) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                if child.pid not in self.known and child.name() in NAMES:
                    self.watched[os.pidfd_open(child.pid)] = f"Ray's {child.name()} (pid {child.pid})"
                    self.known[child.pid] = child.name()
