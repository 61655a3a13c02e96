"""What the watchdog says and when it ends a run; on the engine in tests/integration/test_two_nodes.py."""

import asyncio
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf
from ray.core.generated import common_pb2
from ray.exceptions import ActorUnavailableError

from rlvr.operate import watchdog
from rlvr.operate.watchdog import Cluster, Watchdog, Worker
from rlvr.training import progress

NODES = {"n1": ("one (10.0.0.1)", True), "n2": ("two (10.0.0.2)", True)}


def cluster(*workers: Worker, dead: tuple[str, ...] = ()) -> Cluster:
    nodes = {node: (name, node not in dead) for node, (name, _) in NODES.items()}
    return Cluster({str(number): worker for number, worker in enumerate(workers)}, nodes)


def alive(name: str, node: str) -> Worker:
    return Worker(name, "ALIVE", node, pid=7)


def died(name: str, node: str, reason: str, orderly: bool = False) -> Worker:
    return Worker(name, "DEAD", node, pid=7, cause="it was killed", reason=reason, orderly=orderly)


def test_a_lost_node_is_one_line_with_what_ran_there():
    before = cluster(
        alive("TaskRunner", "n1"), alive("WorkerDict", "n2"), alive("WorkerDict", "n2"), alive("Server", "n2")
    )
    now = cluster(alive("TaskRunner", "n1"), *[died("WorkerDict", "n2", "NODE_DIED")] * 3, dead=("n2",))
    assert watchdog.losses(before, now) == ["lost node two (10.0.0.2), Ray node n2, with 1 × Server, 2 × WorkerDict"]


def test_a_dead_worker_on_a_living_node():
    before = cluster(alive("RolloutWorker", "n1"))
    now = cluster(died("RolloutWorker", "n1", "WORKER_DIED"))
    assert watchdog.losses(before, now) == ["lost worker RolloutWorker (pid 7) on node one (10.0.0.1): it was killed"]


def test_what_died_with_its_owner_is_said_only_where_nothing_else_is_lost():
    before = cluster(alive("Trainer", "n1"), alive("Server", "n2"))
    both = watchdog.losses(before, cluster(died("Trainer", "n1", "WORKER_DIED"), died("Server", "n2", "OWNER_DIED")))
    assert len(both) == 1 and "Trainer" in both[0]
    (alone,) = watchdog.losses(before, cluster(alive("Trainer", "n1"), died("Server", "n2", "OWNER_DIED")))
    assert "Server" in alone


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (cluster(alive("W", "n1")), cluster(alive("W", "n1"))),
        (cluster(alive("W", "n1")), cluster(alive("W", "n1"), dead=("n2",))),  # another run's node
        (cluster(alive("W", "n1")), cluster(died("W", "n1", "RAY_KILL", orderly=True))),
        (
            cluster(Worker("W", "PENDING_CREATION", "n1", 0)),
            cluster(died("W", "n1", "WORKER_DIED")),
        ),  # the trainer raises
    ],
)
def test_no_loss(before, now):
    assert watchdog.losses(before, now) == []


@pytest.mark.parametrize(
    ("reason", "message", "orderly"),
    [
        ("WORKER_DIED", "The actor died unexpectedly.\nMore.", False),
        ("NODE_DIED", "The node died.", False),
        ("OUT_OF_SCOPE", "", True),
        ("RAY_KILL", "ray.kill", True),
        ("WORKER_DIED", "exit type: INTENDED_USER_EXIT", True),
    ],
)
def test_ray_s_records(reason, message, orderly):
    context = common_pb2.ActorDiedErrorContext(reason=reason, error_message=message)
    record = {
        "ActorClassName": "create.<locals>.WorkerDict",
        "State": "DEAD",
        "Address": {"NodeID": "n1"},
        "Pid": 7,
        "DeathCause": common_pb2.ActorDeathCause(actor_died_error_context=context),
    }
    worker = watchdog.read_worker(record)
    assert (worker.name, worker.orderly, worker.reason) == ("WorkerDict", orderly, reason)
    assert "\n" not in worker.cause and worker.cause


STATUS = {
    "phase": "validation > rollout and reward",
    "step": 3,
    "starting": False,
    "idle_s": 0.0,
    "prompts": [5, 8],
    "details": ["rollout worker 0 waits for reward: 3 × _grade > compute_score > sleep"],
}


def test_a_report_says_phase_prompts_workers_and_nodes():
    workers = cluster(alive("WorkerDict", "n2"), alive("WorkerDict", "n2"), Worker("Server", "PENDING_CREATION", "", 0))
    text = "\n".join(watchdog.stall_report(STATUS | {"at": time.time()}, 100, workers))
    assert "no progress for 100 s: step 3, waiting in validation > rollout and reward, 5 of 8 prompts finished" in text
    assert "waits for reward: 3 × _grade > compute_score > sleep" in text
    assert "2 × WorkerDict ALIVE on two (10.0.0.2)" in text
    assert "1 × Server PENDING_CREATION on no node yet" in text
    assert "said nothing" not in text
    assert "has said nothing for" in "\n".join(watchdog.stall_report(STATUS | {"at": time.time() - 100}, 100, workers))
    assert "has not started" in watchdog.stall_report(None, 700, workers)[0]


def test_a_trainer_that_still_speaks_is_taken_at_its_word():
    """A second more than it said would be a report without its details."""
    assert watchdog.standing_still({"idle_s": 44.0, "at": time.time() - 3}) == 44.0
    assert watchdog.standing_still({"idle_s": 44.0, "at": time.time() - 100}) > 143


@pytest.fixture
def ray_says(monkeypatch):
    """A Ray that answers what the test says; the dog looks every few milliseconds."""
    said = SimpleNamespace(cluster=cluster(alive("W", "n1")), status=STATUS | {"at": time.time()}, exits=[])
    monkeypatch.setattr(watchdog.atexit, "register", lambda _: None)  # it would end pytest
    monkeypatch.setattr(watchdog.os, "_exit", said.exits.append)  # and so would this
    monkeypatch.setattr(watchdog, "LAST_EXIT_S", 0.2)
    monkeypatch.setattr(watchdog, "POLL_S", 0.01)
    monkeypatch.setattr(watchdog, "TRAINER_FAILS_FIRST_S", 0.01)
    monkeypatch.setattr(watchdog, "RAY_NOTICES_S", 0.01)
    monkeypatch.setattr(watchdog, "RAY_NOTICES_A_NODE_S", 0.01)
    monkeypatch.setattr(watchdog.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(watchdog, "look", lambda: said.cluster)
    monkeypatch.setattr(progress, "read_status", lambda: said.status)
    before = signal.getsignal(watchdog.SIGNAL)
    yield said
    for thread in threading.enumerate():  # none may outlive what is patched here
        if thread.name == "rlvr-watchdog":
            thread.join(20)
            assert not thread.is_alive()
    signal.signal(watchdog.SIGNAL, before)


def start(timeout_s: float | None, stop: bool) -> Watchdog:
    dog = Watchdog()
    dog.on_job_start(OmegaConf.create({"trainer": {"watchdog": {"timeout_s": timeout_s, "stop": stop}}}))
    return dog


def work(seconds: float = 20.0) -> None:
    """The main thread, inside the job."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)


def end(dog: Watchdog, status: JobStatus = JobStatus.COMPLETED) -> None:
    dog.on_job_end(
        OmegaConf.create(), SimpleNamespace(status=status, _return_value=RuntimeError("gloo: connection closed"))
    )


def test_stop_ends_a_run_that_stands_still_with_75(ray_says, capsys):
    ray_says.status = STATUS | {"at": time.time(), "idle_s": 100.0}
    with pytest.raises(SystemExit) as left:
        start(50, stop=True)
        work()
    assert left.value.code == watchdog.EXIT_STALLED == 75
    said = capsys.readouterr().err
    assert "waiting in validation > rollout and reward" in said and "exit code 75" in said


@pytest.mark.parametrize(
    ("timeout_s", "change"),
    [(200, {"idle_s": 100.0}), (None, {"idle_s": 1e9}), (50, {"idle_s": 100.0, "starting": True})],
)
def test_no_word_before_the_timeout_without_one_or_at_the_start(ray_says, capsys, timeout_s, change):
    ray_says.status = STATUS | {"at": time.time()} | change
    dog = start(timeout_s, stop=True)
    work(0.3)
    end(dog)
    assert "watchdog" not in capsys.readouterr().err


def test_without_stop_it_speaks_once_a_timeout_and_the_run_goes_on(ray_says, capsys):
    ray_says.status = STATUS | {"at": time.time(), "idle_s": 100.0}
    dog = start(50, stop=False)
    work(0.3)
    end(dog)
    assert capsys.readouterr().err.count("no progress for") == 1


def test_a_lost_worker_ends_a_run_that_would_wait_forever_with_76(ray_says, capsys):
    with pytest.raises(SystemExit) as left:
        start(None, stop=False)
        work(0.1)
        ray_says.cluster = cluster(died("W", "n1", "WORKER_DIED"))
        work()
    assert left.value.code == watchdog.EXIT_LOST == 76
    assert capsys.readouterr().err.count("lost worker W") == 1


def test_a_run_that_failed_because_of_a_lost_node_ends_with_76(ray_says, capsys, monkeypatch):
    monkeypatch.setattr(watchdog, "TRAINER_FAILS_FIRST_S", 20)
    dog = start(None, stop=False)
    work(0.1)
    ray_says.cluster = cluster(died("W", "n1", "NODE_DIED"), dead=("n1",))
    with pytest.raises(SystemExit) as left:
        end(dog, JobStatus.FAILED)
    assert left.value.code == 76
    assert "lost node one (10.0.0.1)" in capsys.readouterr().err


def test_a_failure_that_ray_calls_a_dead_actor_ends_with_76(ray_says, capsys):
    dog = start(None, stop=False)
    with pytest.raises(SystemExit) as left:
        dog.on_job_end(
            OmegaConf.create(),
            SimpleNamespace(status=JobStatus.FAILED, _return_value=ActorUnavailableError("gone", None)),
        )
    assert left.value.code == 76
    assert "lost worker: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (ActorUnavailableError("gone", None), True),
        (RuntimeError("trace\n[gloo/transport/tcp/pair.cc] Connection closed by peer"), True),
        (RuntimeError("NCCL error: remote process exited"), True),
        (ValueError("a connection in the traceback\na verifiable reward is 0 or 1, got 0.5"), False),
    ],
)
def test_what_looks_like_a_loss(error, loss):
    assert watchdog.looks_like_a_loss(error) is loss


def test_a_run_that_failed_by_itself_keeps_its_own_error(ray_says):
    dog = start(None, stop=False)
    work(0.05)
    end(dog, JobStatus.FAILED)


# ---- what the trainer publishes


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
    trainer._validate = trainer.progress._followed(lambda: trainer._compute_old_log_prob(), "validation")
    trainer._validate()
    assert trainer.seen == ["actor update", "validation > old log-prob"]
    assert trainer.progress.status()["phase"] == "between phases"


def test_a_phase_that_raises_ends_too():
    trainer = FakeTrainer()

    def broken():
        raise ValueError

    with pytest.raises(ValueError):
        trainer.progress._followed(broken, "actor update")()
    assert trainer.progress.status()["phase"] == "between phases"


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
        go_on.wait(20)

    thread = threading.Thread(target=the_trainer_waits_here)
    thread.start()
    waiting.wait(20)
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
