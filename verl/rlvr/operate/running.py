"""How a launcher (scripts/launch.sh) tells a driver that Python ended from one that was ended without a word."""

import atexit
import os
from pathlib import Path

RUNNING = "RLVR_RUNNING"  # the launcher's variable, which names the file


def mark_running() -> None:
    """Make the launcher's file, which is there until Python ends this process.

    Ray's library ends a process whose raylet is gone with exit code 1 and without a word, often before it can be seen that it is
    gone; then the file is left.
    """
    if RUNNING in os.environ:
        file = Path(os.environ[RUNNING])
        file.touch()
        atexit.register(file.unlink, missing_ok=True)
