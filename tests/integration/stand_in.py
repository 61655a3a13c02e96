"""A run with everything but the engine: Hydra, the watchdog, a trainer whose phases are followed, a worker on another node.

    python -m tests.integration.stand_in hydra.… +phase="'actor update'" +folder=…     as test_two_nodes.py starts it

The trainer has upstream's method names and, in the phase named, waits for its worker as gloo does: through a socket. When that
breaks it fails at once with an error of the kind that verl gives, long before Ray knows that a node is lost. The file
``PHASE.held`` in ``folder`` says that it waits. With ``+fails=true`` it fails by itself instead.
"""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import ray
from omegaconf import DictConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rlvr.training import progress

# The methods of upstream's trainer, one inside the other, that are under way in a phase.
CALLS = {phase: [method] for method, phase in reversed(progress.PHASES.items())}
CALLS[f"validation > {progress.ROLLOUT}"] = ["_validate", "prepare_step"]
ERRORS = {
    progress.ROLLOUT: "Sync replay buffer selected terminal groups with no materializable trajectories.",
    f"validation > {progress.ROLLOUT}": "list index out of range",
}
BROKEN = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer"


@ray.remote(num_cpus=0)
class StandInWorker:
    """On the node that is lost."""

    def listen(self) -> tuple[str, int]:
        self.server = socket.create_server((ray.util.get_node_ip_address(), 0))
        return self.server.getsockname()


class Trainer:
    def __init__(self) -> None:
        self.global_steps = 1
        keys: dict[str, set] = {}
        self.replay_buffer = SimpleNamespace(
            sample=lambda: None, finished_keys=keys, failure_keys=keys, pending_keys=keys, running_keys=keys
        )
        self.now: Callable[[], Any] = lambda: None
        for method in progress.PHASES:
            setattr(self, method, lambda: self.now())
        progress.Progress(self, None).publish_forever()

    def run(self, methods: list[str], last: Callable[[], Any]) -> None:
        def call(rest: list[str]) -> None:
            self.now = last if len(rest) == 1 else lambda: call(rest[1:])
            getattr(self, rest[0])()

        call(methods)


@ray.remote(num_cpus=0)
class StandInTaskRunner:
    def run(self, phase: str, folder: str, fails: bool) -> None:
        here = ray.get_runtime_context().get_node_id()
        (there,) = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
        worker = StandInWorker.options(scheduling_strategy=on_node(there)).remote()
        connection = socket.create_connection(ray.get(worker.listen.remote()))

        def wait_for_the_worker() -> None:
            (Path(folder) / f"{phase}.held").touch()
            if not fails:
                with contextlib.suppress(ConnectionResetError):
                    connection.recv(1)
            raise RuntimeError(ERRORS.get(phase, BROKEN))

        trainer = Trainer()
        trainer.replay_buffer.sample()  # the start is over
        trainer.run(CALLS[phase], wait_for_the_worker)


def on_node(node_id: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


@hydra.main(config_path=None, version_base=None)
def main(config: DictConfig) -> None:
    ray.init(log_to_driver=False)
    runner = StandInTaskRunner.options(scheduling_strategy=on_node(ray.get_runtime_context().get_node_id())).remote()
    ray.get(runner.run.remote(config.phase, config.folder, config.get("fails", False)))


if __name__ == "__main__":
    main()
