"""The name of the socket for the weights, as verl's two ends make it; on the engine every run of the integration tests uses it."""

import importlib
import os
from types import SimpleNamespace

import pytest

from rlvr.training import weight_socket


class Adapter:
    """Names its socket as upstream's does."""

    def __init__(self, replica_rank: int):
        self.zmq_handle = f"ipc:///tmp/rl-colocate-zmq-01000000-replica-{replica_rank}-rank-0.sock"


class Server:
    def __init__(self, replica_rank: int):
        os.environ["VERL_RAY_JOB_ID"] = "01000000"
        self.replica_rank = replica_rank

    def handle(self) -> str:
        """As upstream's engine makes it."""
        return f"ipc:///tmp/rl-colocate-zmq-{os.environ['VERL_RAY_JOB_ID']}-replica-{self.replica_rank}-rank-0.sock"


def ends(monkeypatch, session: str) -> tuple[str, str]:
    """The sender's name and the receiver's, in a cluster of its own with the job id of them all."""
    context = SimpleNamespace(get_job_id=lambda: "01000000", get_session_name=lambda: session)
    monkeypatch.setattr(weight_socket, "ray", SimpleNamespace(get_runtime_context=lambda: context))
    monkeypatch.setenv("VERL_RAY_JOB_ID", "")
    sender, receiver = (type(one.__name__, (one,), {}) for one in (Adapter, Server))
    weight_socket.patch_sender(SimpleNamespace(ServerAdapter=sender))
    weight_socket.patch_receiver(SimpleNamespace(vLLMHttpServer=receiver))
    return sender(120).zmq_handle, receiver(120).handle()


def test_both_ends_of_a_run_meet_and_two_runs_do_not(monkeypatch):
    one, other = (ends(monkeypatch, f"session_2026-11-30_04-25-38_469814_{pid}") for pid in (26636, 4194304))
    assert one[0] == one[1] and other[0] == other[1]
    assert one[0] != other[0]
    assert len(other[0].removeprefix("ipc://")) <= 107, "the longest path of a Unix socket"


@pytest.mark.parametrize(
    ("module", "name"), [("vllm_rollout", "ServerAdapter"), ("vllm_async_server", "vLLMHttpServer")]
)
def test_verl_has_both_ends_and_ours_replace_them(module, name):
    found = importlib.import_module(f"verl.workers.rollout.vllm_rollout.{module}")
    assert getattr(found, name).__init__.__globals__["__name__"] == weight_socket.__name__
