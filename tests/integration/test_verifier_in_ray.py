"""The verifier inside Ray actors, synchronous and asynchronous, where a signal-based timeout would fail."""

import asyncio

import pytest
import ray

from rlvr.operate.doctor import ray_worker
from rlvr.training import progress

GOLD = "\\sum_{k=1}^{n} k"  # only the symbolic layer, in its worker processes, can tell
RIGHT, WRONG = "so \\boxed{\\sum_{k=1}^{n} (k+0)}", "so \\boxed{\\sum_{k=1}^{n} k^2}"


@pytest.fixture(scope="module")
def cluster():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote
class Sync:
    def grade(self):
        from rlvr.verify import Verifier

        verifier = Verifier(deadline=60.0)
        return [verifier.verify(response, GOLD).correct for response in (RIGHT, WRONG)]


@ray.remote
class Async:
    async def grade(self):
        from rlvr.verify import Verifier

        verifier = Verifier(deadline=60.0)
        verdicts = await asyncio.gather(*(verifier.averify(response, GOLD) for response in (RIGHT, WRONG)))
        return [verdict.correct for verdict in verdicts]


@pytest.mark.parametrize("actor", [Sync, Async])
def test_right_and_wrong(cluster, actor):
    assert ray.get(actor.remote().grade.remote(), timeout=300) == [True, False]


def test_the_doctor_s_examination_of_a_worker_is_green(cluster):
    record = ray.get(ray.remote(ray_worker.examine).remote(), timeout=300)
    assert [finding.level for finding in ray_worker.check([record], "")] == ["green", "green"], record


@ray.remote
class Hanging:
    async def start(self):
        self.task = asyncio.create_task(self._grade())

    async def _grade(self):
        await asyncio.sleep(1000)


def test_a_rollout_worker_can_be_asked_what_it_waits_for(cluster):
    """As the watchdog asks an asynchronous actor, from outside its event loop."""
    actor = Hanging.remote()
    ray.get(actor.start.remote(), timeout=300)
    found = ray.get(actor.__ray_call__.remote(progress.waits), timeout=300)
    assert found == {"_grade > sleep": 1}
    assert progress.what_for("_grade > sleep") == "reward"
