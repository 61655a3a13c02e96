"""The engine in one thread: answers reach those who asked, other calls get their turn, errors reach everyone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from rlvr.cpu.inprocess import InProcessEngine


class FakeEngine:
    """A request is finished after as many steps as its prompt says; a step with a prompt of "fail" fails."""

    def __init__(self):
        self.left = {}
        self.log = []
        self.output_processor = SimpleNamespace(request_states={})

    def add_request(self, request_id, prompt, params, lora_request=None, priority=0):
        self.left[request_id] = prompt
        self.output_processor.request_states[request_id] = SimpleNamespace(queue=None)

    def abort_request(self, request_ids):
        self.log.append("abort")
        for name in request_ids:
            if self.left.pop(name, None) is not None:
                queue = self.output_processor.request_states.pop(name).queue
                queue.put(SimpleNamespace(request_id=name, finished="stopped"))

    def has_unfinished_requests(self):
        return bool(self.left)

    def step(self):
        self.log.append("step")
        if "fail" in self.left.values():
            raise RuntimeError("no memory")
        self.left = {name: steps - 1 for name, steps in self.left.items()}
        outputs = [SimpleNamespace(request_id=name, finished=not steps) for name, steps in self.left.items()]
        self.left = {name: steps for name, steps in self.left.items() if steps}
        return outputs

    def reset_prefix_cache(self, running, connector):
        self.log.append("reset")
        return True


@pytest.fixture
def fake():
    return FakeEngine()


@pytest.fixture
def engine(fake):
    thread = ThreadPoolExecutor(max_workers=1)
    yield InProcessEngine(fake, thread)
    thread.shutdown()


async def ask(engine, name, steps):
    async for output in engine.generate(steps, None, name):
        return output.request_id, output.finished


def test_everyone_gets_the_own_answer(engine):
    async def run():
        answers = await asyncio.gather(*(ask(engine, f"r{i}", 1 + i % 5) for i in range(20)))
        assert answers == [(f"r{i}", True) for i in range(20)]
        assert await ask(engine, "later", 2) == ("later", True), "the engine wakes up again"
        await engine.wait_for_requests_to_drain()

    asyncio.run(asyncio.wait_for(run(), 30))
    assert not engine.answers


def test_a_call_gets_its_turn_between_the_steps_of_a_long_answer(engine, fake):
    async def run():
        long = asyncio.create_task(ask(engine, "long", 100_000))
        while not fake.log:
            await asyncio.sleep(0)
        assert await engine.reset_prefix_cache() is True
        steps_before = fake.log.index("reset")
        await long
        return steps_before

    assert asyncio.run(asyncio.wait_for(run(), 60)) < 100_000


def test_an_error_of_a_step_reaches_everyone_who_waits(engine):
    async def run():
        return await asyncio.gather(ask(engine, "a", "fail"), ask(engine, "b", 50), return_exceptions=True)

    errors = asyncio.run(asyncio.wait_for(run(), 30))
    assert [str(error) for error in errors] == ["no memory"] * 2


def test_a_pause_gives_what_there_is_and_holds_what_comes(engine, fake):
    async def run():
        under_way = [asyncio.create_task(ask(engine, name, 10**9)) for name in ("a", "b")]
        while not fake.log:
            await asyncio.sleep(0.001)
        await engine.pause_generation(clear_cache=True)
        assert await asyncio.gather(*under_way) == [("a", "stopped"), ("b", "stopped")]
        assert fake.log[-2:] == ["abort", "reset"]
        later = asyncio.create_task(ask(engine, "c", 2))
        while "c" not in fake.left:
            await asyncio.sleep(0.001)
        await engine.wait_for_requests_to_drain()
        assert fake.log[-1] == "reset" and not later.done(), "no step is made while the weights change"
        await engine.resume_generation()
        assert await later == ("c", True)

    asyncio.run(run())
