"""The socket through which a training worker hands the weights to the rollout server of its node: one of this run alone.

verl names it by Ray's job id, and that is 01000000 in every cluster that a run has started for itself. Two runs on one machine
whose weight syncs meet then remove each other's socket: a server may connect to the other run's training worker, and somebody
waits forever. Here the name has Ray's session too, which no two clusters share. Installed by :mod:`rlvr.plugin`.
"""

import functools
import os
from typing import Any

import ray

JOB = "VERL_RAY_JOB_ID"  # from which verl's server and its engine's processes make the name


def of_this_run() -> str:
    """Ray's job and session; short, for a socket's path has 107 characters at most."""
    context = ray.get_runtime_context()
    return f"{context.get_job_id()}-{context.get_session_name().removeprefix('session_')}"


def patch_sender(rollout: Any) -> None:
    """``verl.workers.rollout.vllm_rollout.vllm_rollout``, in a training worker."""
    upstream = rollout.ServerAdapter.__init__

    @functools.wraps(upstream)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        upstream(self, *args, **kwargs)
        job = ray.get_runtime_context().get_job_id()
        self.zmq_handle = self.zmq_handle.replace(f"-{job}-", f"-{of_this_run()}-")

    rollout.ServerAdapter.__init__ = __init__


def patch_receiver(server: Any) -> None:
    """``verl.workers.rollout.vllm_rollout.vllm_async_server``, in a rollout server."""
    upstream = server.vLLMHttpServer.__init__

    @functools.wraps(upstream)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        upstream(self, *args, **kwargs)
        os.environ[JOB] = of_this_run()

    server.vLLMHttpServer.__init__ = __init__
