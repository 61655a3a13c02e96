"""What the trainer publishes of itself: phases, prompts, and what is waited for."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest

from rlvr.training import progress


class FakeTrainer:
    """The methods of upstream's trainer that are followed."""

    def __init__(self):
        self.global_steps = 4
        empty = {"train": set()}
        self.replay_buffer = SimpleNamespace(
            sample=lambda **_: "batch",
            finished_keys={"train": {"a"}},
            failure_keys=dict(empty),
            pending_keys=dict(empty),
            running_keys={"train": {"b", "c"}},
        )
        for name in progress.PHASES:
            setattr(self, name, lambda: self.seen.append(self.progress.status()["phase"]))
        self.seen: list[str] = []
        self.progress = progress.Progress(self, timeout_s=1e-9)


def test_every_phase_is_a_method_of_upstream_s_trainer():
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    assert [name for name in progress.PHASES if not callable(getattr(PPOTrainerSync, name, None))] == []


def test_phases_begin_end_and_nest():
    trainer = FakeTrainer()
    trainer._update_actor()
    trainer._validate = trainer.progress.followed(lambda: trainer._compute_old_log_prob(), "validation")
    trainer._validate()
    assert trainer.seen == ["actor update", "validation > old log-prob"]
    assert trainer.progress.status()["phase"] == progress.START
    trainer.replay_buffer.sample()
    assert trainer.progress.status()["phase"] == "between phases"


def test_what_dies_is_started_anew_but_in_the_weight_sync_itself():
    trainer = FakeTrainer()
    trainer.recovery = SimpleNamespace(classes=("Server",), restarted=[])

    def recovers() -> list[str]:
        return trainer.progress.status()["recovers"]

    assert recovers() == ["Server"]
    assert trainer.progress.followed(recovers, progress.WEIGHT_SYNC)() == []
    for inner in (progress.LOOK, progress.RESTART):
        look = trainer.progress.followed(recovers, inner)
        assert trainer.progress.followed(look, progress.WEIGHT_SYNC)() == ["Server"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def published(monkeypatch) -> list[str]:
    """The phases that are put into Ray's store from here on."""
    phases: list[str] = []
    monkeypatch.setattr(progress, "_internal_kv_put", lambda _, value, **__: phases.append(json.loads(value)["phase"]))
    return phases


def test_a_phase_that_raises_stays_until_the_next_one_begins(monkeypatch):
    """The driver asks after the error, when no phase is left. The innermost says most."""
    trainer, phases = FakeTrainer(), published(monkeypatch)
    trainer.progress.key = b"key"

    def broken():
        raise ValueError

    inner = trainer.progress.followed(broken, progress.ROLLOUT)
    with pytest.raises(ValueError):
        trainer.progress.followed(inner, "validation")()
    assert trainer.progress.status()["phase"] == phases[-1] == "validation > rollout and reward"
    trainer._update_actor()
    assert trainer.seen == ["actor update"] and trainer.progress.status()["phase"] == "between phases"


def test_a_change_of_phase_is_published_at_once(monkeypatch):
    """Where the trainer's process is killed, nothing else tells the phase."""
    trainer, phases = FakeTrainer(), published(monkeypatch)
    monkeypatch.setattr(progress, "PUBLISH_EVERY_S", 1000.0)
    monkeypatch.setattr(progress, "progress_key", lambda: b"key")
    trainer.progress.publish_forever()
    published_in_time = partial(until, lambda: "critic update" in phases)
    trainer._update_actor = trainer.progress.followed(published_in_time, "critic update")
    trainer._update_actor()
    until(lambda: phases[-1] != "critic update")  # nor that it has ended


def test_finished_prompts_are_progress_and_the_start_ends_with_the_first_rollout():
    trainer = FakeTrainer()
    one = trainer.progress
    assert one.status()["starting"] and one.status()["prompts"] == [1, 3]
    assert trainer.replay_buffer.sample() == "batch" and not one.status()["starting"]
    one.moved_at -= 100
    assert one.status()["idle_s"] > 99
    trainer.replay_buffer.finished_keys["train"].add("b")
    assert one.status()["idle_s"] < 99


def test_a_closer_look_shows_where_the_trainer_s_thread_is():
    trainer = FakeTrainer()
    trainer.progress.starting = False
    waiting, go_on = threading.Event(), threading.Event()

    def the_trainer_waits_here():
        trainer.progress.thread_id = threading.get_ident()
        waiting.set()
        go_on.wait(300)

    thread = threading.Thread(target=the_trainer_waits_here)
    thread.start()
    waiting.wait(300)
    details = trainer.progress.status()["details"]
    go_on.set()
    thread.join()
    assert any("the_trainer_waits_here" in line for line in details)


def test_what_a_rollout_worker_waits_for():
    async def _grade():
        await compute_score()

    async def compute_score():
        await asyncio.sleep(20)

    async def _generate():
        await asyncio.sleep(20)

    async def ask():
        tasks = [asyncio.create_task(one()) for one in (_grade, _grade, _generate)]
        await asyncio.sleep(0)
        found = {chain: n for chain, n in progress.waits(None).items() if not chain.startswith("ask")}
        for task in tasks:
            task.cancel()
        return found

    found = asyncio.run(ask())
    assert found == {"_grade > compute_score > sleep": 2, "_generate > sleep": 1}
    assert progress.what_for("_grade > compute_score > sleep") == "reward"
    assert progress.what_for("_run > _generate_and_grade > _generate") == "generation"
    assert progress.what_for("_run > _generate_and_grade") == "something else"
