"""What a worker of reasoning-gym's tasks does (:mod:`rlvr.verify.worker`): load the package once, score one answer a request.

Scorers are written for trusted text: some call ``eval`` on the answer for partial credit. While one runs, an audit hook refuses
to compile, execute, import, open, unpickle or start anything; the answer then gets what the scorer gives without that.
Deliberately left out: deadlines and memory limits; those are the worker's. It is never imported by the caller.
"""

import json
import os
import sys
from functools import lru_cache
from typing import Any

from rlvr.verify.verdict import UNREADABLE

FORBIDDEN = frozenset({"compile", "exec", "import", "open", "code.__new__", "function.__new__", "marshal.loads"})
FORBIDDEN_KINDS = ("os.", "subprocess.", "socket.", "ctypes.", "shutil.", "pickle.", "tempfile.")


class Refused(RuntimeError):
    """A scorer wanted to do what it must not do to a model's text."""


_scoring = False


def load() -> None:
    """Import all tasks, in the process that forks: half a second that no verdict waits for."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start threads, and forking would not be safe
    os.environ["MPLBACKEND"] = "agg"
    import reasoning_gym  # noqa: F401


def prepare(request: dict[str, Any]) -> bool:
    """Make the task of a request in the process that forks; whether it was not there yet."""
    known = _task.cache_info().currsize
    _task(request["task"], json.dumps(json.loads(request["entry"]).get("config", {}), sort_keys=True))
    return _task.cache_info().currsize != known


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Score one answer, in the child. An answer that its scorer stumbles over is unreadable, if the gold is scored right.

    Raises:
        Exception: whatever the scorer raises on the gold; the worker reports it.
    """
    stored = json.loads(request["entry"])
    task = _task(request["task"], json.dumps(stored.get("config", {}), sort_keys=True))
    entry = {"question": request["question"], "answer": request["target"], "metadata": stored["metadata"]}
    try:
        return {"correct": _score(task, request["prediction"], entry) == 1.0, "layer": "score"}
    # Scorers raise whatever they like on odd answers
    except Exception:
        entry = {**entry, "metadata": json.loads(request["entry"])["metadata"]}  # a scorer may have changed it
        if _score(task, request["target"], entry) == 1.0:
            return {"correct": False, "layer": UNREADABLE}
        raise


def _score(task: Any, prediction: str, entry: dict[str, Any]) -> float:
    global _scoring
    _watch()
    _scoring = True
    try:
        return task.score_answer(prediction, entry)
    finally:
        _scoring = False


@lru_cache(maxsize=256)
def _task(name: str, config: str) -> Any:
    from reasoning_gym.factory import create_dataset

    return create_dataset(name, **{"seed": 0, "size": 1, **json.loads(config)})


@lru_cache(maxsize=1)
def _watch() -> None:
    """Once a process: an audit hook cannot be taken away, which is the point."""
    sys.addaudithook(_refuse)


def _refuse(event: str, _: Any) -> None:
    if _scoring and (event in FORBIDDEN or event.startswith(FORBIDDEN_KINDS)):
        raise Refused(f"{event} while an answer is scored")
