"""What is done when a rollout server or worker dies; on the engine in tests/integration/test_lost_workers.py."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from omegaconf import OmegaConf
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from rlvr.training import recovery, rollout_mode
from rlvr.training.progress import LOOK, RESTART, WEIGHT_SYNC
from rlvr.training.recovery import MOST_RESTARTS, Recovery


class Actor:
    """A Ray actor whose methods only say that they were called; it dies when the test says so."""

    made = 0

    def __init__(self, said: list, name: str):
        Actor.made += 1
        identity = f"id{Actor.made}"
        self._actor_id = SimpleNamespace(hex=lambda: identity)
        self.said, self.name, self.error = said, name, None
        self.when_asked: list[Exception] = []  # what comes back in place of answers to the question whether it lives

    def __getattr__(self, method: str) -> SimpleNamespace:
        def remote(*arguments):
            if method == "until_lost":
                return ("end", self, len(self.said))
            if method == "lives":
                return ("lives", self)
            if method == "__ray_call__":
                method_called = arguments[0].__name__
                self.said.append(f"{self.name} {method_called} {list(arguments[1:])}")
            elif method != "children":
                self.said.append(f"{self.name} {method} {arguments[0]}")
            return ("answer", [(7, 1.0)] if method == "children" else None)

        return SimpleNamespace(remote=remote)


class FakeRay:
    """The functions of Ray that are called; actors answer at once."""

    def __init__(self, said: list):
        self.said = said

    def wait(self, ends, num_returns, timeout):
        return [end for end in ends if end[1].error is not None], []

    def get(self, what, timeout=None):
        if isinstance(what, list):
            return [self.get(one) for one in what]
        if what[0] == "lives" and (errors := what[1].when_asked or [what[1].error])[0] is not None:
            raise errors.pop(0)
        if what[0] == "end" and what[1].error is not None:
            raise what[1].error
        return what[1]

    def kill(self, actor):
        self.said.append(f"kill {actor.name}")


class Replica:
    def __init__(self, said: list, number: int):
        self.said, self.number, self.launched = said, number, 0
        self.workers = [Actor(said, f"trainer{number}")]
        self._launch()

    def _launch(self):
        self.launched += 1
        self.servers = [Actor(self.said, f"server{self.number}")]
        self.server_handle = self.servers[0]
        self.server_address = f"address{self.number}.{self.launched}"

    async def launch_servers(self):
        assert self.servers == []
        self.said.append(f"launch {self.number}")
        self._launch()

    async def sleep(self):
        self.said.append(f"sleep {self.number}")


class Trainer:
    """What a trainer has for its recovery: two servers, two rollout workers."""

    def __init__(self, monkeypatch, servers: int = 2):
        self.said: list[str] = []
        monkeypatch.setattr(recovery, "ray", FakeRay(self.said))
        self.replicas = [Replica(self.said, number) for number in range(servers)]
        self.llm_server_manager = SimpleNamespace(
            get_replicas=lambda: self.replicas, global_load_balancer=Actor(self.said, "balancer")
        )
        self.checkpoint_manager = SimpleNamespace(update_weights=lambda version: self.said.append(f"weights {version}"))
        self.replay_buffer = SimpleNamespace(
            refresh=lambda: self.said.append("refresh"),
            pending_keys={"train": {"a", "b"}},
            running_keys={"val": {"c"}},
        )
        self.agent_loop_manager = SimpleNamespace(
            agent_loop_workers=[Actor(self.said, f"worker{number}") for number in range(2)],
            start_anew=self._start_anew,
            forget_dealt=lambda unfinished: self.said.append("forget"),
        )
        self.phases: list[str] = []
        self.recovery = Recovery(self, True, self._followed)
        self.recovery.after_sync(4)
        self.recovery.look()
        assert self.said == []

    def _followed(self, method, phase):
        def call(*arguments, **named):
            self.phases.append(phase)
            return method(*arguments, **named)

        return call

    def _start_anew(self, number, unfinished):
        self.said.append(f"worker {number} anew with {sorted(unfinished)}")
        self.agent_loop_manager.agent_loop_workers[number] = Actor(self.said, f"worker{number}")

    def lose_server(self, number: int) -> str:
        (server,) = self.replicas[number].servers
        server.error = ActorDiedError()
        return server._actor_id.hex()


def test_a_server_is_started_after_the_rollouts_where_another_lives(monkeypatch):
    trainer = Trainer(monkeypatch)
    dead = trainer.lose_server(1)
    trainer.recovery.look()
    trainer.recovery.look()
    assert trainer.said == ["balancer remove_servers ['address1.1']"]
    assert trainer.recovery.restarted == []
    trainer.said.clear()
    trainer.recovery.before_sleep()
    assert trainer.said[:3] == ["kill server1", "trainer1 end_processes [[(7, 1.0)]]", "launch 1"]
    new = {"address1.2": trainer.replicas[1].servers[0]}
    assert trainer.said[3:] == ["trainer1 forget_server []", "forget"]
    trainer.recovery.before_sync()
    trainer.recovery.after_sync(5)
    assert trainer.said[5:] == [f"balancer add_servers {new}"], "with the new weights it gets prompts"
    assert trainer.recovery.restarted == [dead] and trainer.phases == [LOOK, RESTART, LOOK]
    assert trainer.recovery.metrics() == {"rlvr/restarted_rollout_servers": 1, "rlvr/restarted_rollout_workers": 0}
    assert trainer.llm_server_manager.server_addresses == ["address0.1", "address1.2"]


def test_where_no_server_lives_all_get_the_weights_of_the_step_before_any_prompt(monkeypatch):
    trainer = Trainer(monkeypatch)
    trainer.lose_server(0)
    trainer.lose_server(1)
    trainer.recovery.look()
    order = [line.split(" {")[0] for line in trainer.said]
    assert order[-2:] == ["weights 4", "balancer add_servers"]
    assert {"launch 0", "launch 1", "sleep 0", "sleep 1"} < set(order)
    assert trainer.phases == [RESTART, WEIGHT_SYNC]
    trainer.said.clear()
    trainer.recovery.look()
    assert trainer.said == []


def test_a_server_that_died_while_it_slept_sleeps_again_before_the_weight_sync(monkeypatch):
    trainer = Trainer(monkeypatch, servers=1)
    trainer.lose_server(0)
    trainer.recovery.before_sync()
    assert trainer.said.index("launch 0") < trainer.said.index("sleep 0")
    assert not any(line.startswith(("weights", "balancer add")) for line in trainer.said)
    trainer.recovery.after_sync(5)
    assert trainer.said[-1].startswith("balancer add_servers")


def test_a_worker_gets_what_has_no_answers_yet(monkeypatch):
    trainer = Trainer(monkeypatch)
    (first, _) = trainer.agent_loop_manager.agent_loop_workers
    first.error = ActorDiedError()
    trainer.recovery.look()
    assert trainer.said == ["refresh", "worker 0 anew with ['a', 'b', 'c']"]
    assert trainer.recovery.restarted == [first._actor_id.hex()]
    assert trainer.recovery.metrics() == {"rlvr/restarted_rollout_servers": 0, "rlvr/restarted_rollout_workers": 1}
    trainer.recovery.next_step()
    assert trainer.recovery.metrics()["rlvr/restarted_rollout_workers"] == 0


def test_what_cannot_be_reached_for_now_has_not_died(monkeypatch):
    trainer = Trainer(monkeypatch)
    (server,) = trainer.replicas[0].servers
    server.error = ActorUnavailableError("a network that hangs", None)
    trainer.recovery.look()
    server.error = None
    trainer.recovery.look()
    assert trainer.said == [] and trainer.recovery.restarted == []


@pytest.mark.parametrize("phase", ["before_sleep", "before_sync"])
@pytest.mark.parametrize(
    "answers", [[ActorDiedError()], [ActorUnavailableError("not known yet", None), ActorDiedError()]]
)
def test_a_server_of_whose_death_ray_tells_late_is_started_before_all_are_needed(monkeypatch, phase, answers):
    trainer = Trainer(monkeypatch)
    (server,) = trainer.replicas[1].servers
    server.when_asked = [*answers]
    getattr(trainer.recovery, phase)()
    assert "launch 1" in trainer.said and trainer.recovery.restarted == [server._actor_id.hex()]
    getattr(trainer.recovery, phase)()
    assert trainer.said.count("launch 1") == 1 and trainer.recovery.restarts == {"rollout server 1": 1}


def test_a_server_that_dies_when_it_is_to_sleep_is_started_and_all_sleep(monkeypatch):
    trainer, asked = Trainer(monkeypatch), []

    def sleep():
        asked.append("sleep")
        if len(asked) == 1:
            trainer.lose_server(1)
            raise ActorDiedError()

    trainer.recovery.put_to_sleep(sleep)
    assert asked == ["sleep", "sleep"] and "launch 1" in trainer.said
    assert trainer.recovery.restarts == {"rollout server 1": 1}


def test_what_else_dies_when_servers_are_to_sleep_ends_the_run(monkeypatch):
    trainer = Trainer(monkeypatch)

    def sleep():
        raise ActorDiedError()

    with pytest.raises(ActorDiedError):
        trainer.recovery.put_to_sleep(sleep)
    assert trainer.said == ["forget"]


def test_a_server_that_stands_still_is_not_taken_for_dead(monkeypatch):
    trainer = Trainer(monkeypatch)
    (server,) = trainer.replicas[0].servers
    server.when_asked = [GetTimeoutError()]
    trainer.recovery.before_sync()
    assert trainer.said == []


def test_what_dies_again_and_again_ends_the_run(monkeypatch):
    trainer = Trainer(monkeypatch, servers=1)
    for _ in range(MOST_RESTARTS):
        trainer.lose_server(0)
        trainer.recovery.look()
    last = trainer.lose_server(0)
    with pytest.raises(RuntimeError, match="rollout server 0 died 4 times in one step"):
        trainer.recovery.look()
    assert last not in trainer.recovery.restarted


def test_a_server_that_does_not_start_has_no_stand_in(monkeypatch):
    trainer = Trainer(monkeypatch, servers=1)

    async def launch_servers():
        raise RuntimeError("no memory")

    trainer.replicas[0].launch_servers = launch_servers
    trainer.lose_server(0)
    with pytest.raises(RuntimeError, match="no memory"):
        trainer.recovery.look()
    assert trainer.recovery.restarted == []


def test_switched_off_it_does_nothing(monkeypatch):
    trainer = Trainer(monkeypatch)
    trainer.recovery = Recovery(trainer, False, trainer._followed)
    trainer.lose_server(0)
    for call in (trainer.recovery.look, trainer.recovery.before_sleep, trainer.recovery.before_sync):
        call()
    assert trainer.said == [] and trainer.recovery.classes == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"agent": {"agent_loop_manager_class": None}}, False),  # upstream's
        ({"router_config_path": "router.yaml"}, False),
        ({"disaggregation": {"enabled": True}}, False),
    ],
)
def test_when_it_applies(monkeypatch, change, expected):
    monkeypatch.setattr(rollout_mode, "needs_upstream", lambda _: None)
    agent = {"agent_loop_manager_class": "rlvr.training.rollout.BatchedRolloutManager"}
    rollout = {"disaggregation": {"enabled": False}, "agent": agent} | change
    assert recovery.applies(OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}})) is expected
    monkeypatch.setattr(rollout_mode, "needs_upstream", lambda _: "LoRA")
    assert not recovery.applies(OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}}))


def test_training_workers_look_their_server_up_again():
    rollout = SimpleNamespace(server_handle="dead")
    recovery.forget_server(SimpleNamespace(worker_dict={"actor": SimpleNamespace(rollout=rollout), "critic": object()}))
    assert rollout.server_handle is None
    rollout.server_handle = "dead"
    recovery.forget_server(SimpleNamespace(rollout=rollout))
    assert rollout.server_handle is None


def test_only_the_very_processes_are_ended():
    """A process number may belong to somebody else by now."""
    ours, other = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    try:
        created = psutil.Process(ours.pid).create_time()
        recovery.end_processes(None, [(ours.pid, created), (other.pid, created - 100), (2**22 + 1, created)])
        assert psutil.Process(ours.pid).status() == psutil.STATUS_ZOMBIE, "nobody has asked for its end"
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.communicate()
