"""What the watchdog says and when it ends a run; on the engine in tests/integration/test_lost_workers.py and test_two_nodes.py."""

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf
from ray.exceptions import ActorUnavailableError, RpcError

from rlvr.cluster import ray_tables
from rlvr.operate import watchdog
from rlvr.operate.watchdog import Watchdog
from rlvr.training import progress
from tests.unit.rlvr.cluster.test_ray_tables import alive, cluster, died

STATUS = {
    "phase": "validation > rollout and reward",
    "step": 3,
    "starting": False,
    "idle_s": 0.0,
    "prompts": [5, 8],
    "recovers": [],
    "restarted": [],
    "details": ["rollout worker 0 waits for reward: 3 × _grade > compute_score > sleep"],
}


def test_a_report_says_phase_prompts_workers_and_nodes():
    workers = cluster(
        alive("WorkerDict", "n2"), alive("WorkerDict", "n2"), ray_tables.Worker("Server", "PENDING_CREATION", "")
    )
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


PATIENCE_S = 600.0  # more than any test takes


@pytest.fixture
def ray_says(monkeypatch):
    """A Ray that answers what the test says; the dog looks every few milliseconds."""
    said = SimpleNamespace(
        cluster=cluster(alive("W", "n1")), status=STATUS | {"at": time.time()}, exits=[], silent=[], looks=0
    )

    def look():
        said.looks += 1
        return said.cluster

    monkeypatch.setattr(watchdog.atexit, "register", lambda _: None)  # it would end pytest
    monkeypatch.setattr(watchdog.os, "_exit", said.exits.append)  # and so would this
    monkeypatch.setattr(watchdog, "LAST_EXIT_S", 0.2)
    monkeypatch.setattr(watchdog, "POLL_S", 0.01)
    monkeypatch.setattr(watchdog, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(watchdog, "TRAINER_FAILS_FIRST_S", 0.01)
    monkeypatch.setattr(watchdog.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray_tables, "look", look)
    monkeypatch.setattr(ray_tables, "silent", lambda _: said.silent)
    monkeypatch.setattr(ray_tables, "patience_s", lambda: PATIENCE_S)
    monkeypatch.setattr(progress, "read_status", lambda: said.status)
    before = signal.getsignal(watchdog.SIGNAL)
    yield said
    for thread in threading.enumerate():  # none may outlive what is patched here
        if thread.name.startswith("rlvr-watchdog"):
            thread.join(300)
            assert not thread.is_alive()
    signal.signal(watchdog.SIGNAL, before)


@pytest.fixture
def start(tmp_path):
    """``start(timeout_s, stop)``: a dog that watches a run in ``tmp_path / "run"``."""

    def start(timeout_s: float | None, stop: bool) -> Watchdog:
        dog = Watchdog()
        settings = {"default_local_dir": str(tmp_path / "run"), "watchdog": {"timeout_s": timeout_s, "stop": stop}}
        dog.on_job_start(OmegaConf.create({"trainer": settings}))
        return dog

    return start


def work(until=lambda: False) -> None:
    """The main thread, inside the job."""
    deadline = time.monotonic() + 300
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def looks(ray_says, more: int):
    """Until the dog has looked ``more`` times again, so that it had its chance to speak."""
    enough = ray_says.looks + more
    return lambda: ray_says.looks >= enough


def end(dog: Watchdog, error: Exception | None = None) -> None:
    status = JobStatus.COMPLETED if error is None else JobStatus.FAILED
    dog.on_job_end(OmegaConf.create(), SimpleNamespace(status=status, _return_value=error))


def test_stop_ends_a_run_that_stands_still_with_75(ray_says, start, capsys):
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
def test_no_word_before_the_timeout_without_one_or_at_the_start(ray_says, start, capsys, timeout_s, change):
    ray_says.status = STATUS | {"at": time.time()} | change
    dog = start(timeout_s, stop=True)
    work(looks(ray_says, 5))
    end(dog)
    assert "watchdog" not in capsys.readouterr().err


def test_without_stop_it_speaks_once_a_timeout_and_the_run_goes_on(ray_says, start, tmp_path, capsys):
    ray_says.status = STATUS | {"at": time.time(), "idle_s": 100.0}
    dog = start(50, stop=False)
    work(looks(ray_says, 5))
    end(dog)
    assert capsys.readouterr().err.count("no progress for") == 1
    (noted,) = map(json.loads, (tmp_path / "run" / "watchdog.jsonl").read_text().splitlines())
    assert noted["step"] == 3 and "no progress for 100 s: step 3" in noted["lines"][0]


def test_a_full_disk_does_not_end_the_watch(ray_says, start, tmp_path, capsys):
    ray_says.status = STATUS | {"at": time.time(), "idle_s": 100.0}
    (tmp_path / "run").write_text("a file where the folder should be")
    dog = start(50, stop=False)
    work(looks(ray_says, 5))
    end(dog)
    said = capsys.readouterr().err
    assert said.count("no progress for") == 1 and "watchdog.jsonl cannot be written" in said


def test_a_lost_worker_ends_a_run_that_would_wait_forever_with_76(ray_says, start, capsys):
    with pytest.raises(SystemExit) as left:
        start(None, stop=False)
        work(looks(ray_says, 2))
        ray_says.cluster = cluster(died("W", "n1"))
        work()
    assert left.value.code == watchdog.EXIT_LOST == 76
    assert capsys.readouterr().err.count("lost worker W") == 1


@pytest.mark.parametrize("change", [{"recovers": ["W"]}, {"restarted": ["0"]}], ids=["now", "already"])
def test_what_the_trainer_starts_anew_is_no_loss(ray_says, start, capsys, change):
    dog = start(None, stop=False)
    ray_says.status = STATUS | {"at": time.time()} | change
    ray_says.cluster = cluster(died("W", "n1"), alive("W", "n1"))
    work(looks(ray_says, 5))
    end(dog)
    assert "lost" not in capsys.readouterr().err


def test_it_counts_where_the_run_fails_before_another_stands_in(ray_says, start):
    dog = start(None, stop=False)
    ray_says.status = STATUS | {"at": time.time(), "recovers": ["W"]}
    ray_says.cluster = cluster(died("W", "n1"))
    assert left_with(dog, RuntimeError("no memory")) == watchdog.EXIT_LOST


def test_a_loss_that_is_made_good_before_the_run_would_end_lets_it_go_on(ray_says, start, monkeypatch):
    """The trainer begins to, in the moment in which the watchdog looks."""
    monkeypatch.setattr(watchdog, "TRAINER_FAILS_FIRST_S", 0.5)
    dog = start(None, stop=False)
    ray_says.cluster = cluster(died("W", "n1"))
    work(lambda: dog.lost)
    ray_says.status = STATUS | {"at": time.time(), "recovers": ["W"]}
    work(looks(ray_says, 5))
    assert not dog.lost
    end(dog)


def test_a_process_of_ray_s_own_that_ends_ends_the_run_with_76(ray_says, start, capsys):
    dog = start(None, stop=False)
    work(looks(ray_says, 2))
    family = ["an agent"]
    dog.ray_processes = SimpleNamespace(wait=lambda seconds: ["Ray's raylet (pid 7)"], end_family=family.clear)
    work(lambda: ray_says.exits)
    end(dog)
    assert ray_says.exits[0] == watchdog.EXIT_LOST == 76 and not family
    said = capsys.readouterr().err
    assert "watchdog: lost Ray's raylet (pid 7) during validation > rollout and reward of step 3" in said
    assert "watchdog: stopping the run with exit code 76" in said


def test_ray_s_processes_may_end_with_the_run(ray_says, start, capsys):
    dog = start(None, stop=False)
    end(dog)
    dog.ray_processes = SimpleNamespace(wait=lambda seconds: ["Ray's raylet (pid 7)"])
    work(lambda: not any(thread.name == "rlvr-watchdog-ray" for thread in threading.enumerate()))
    assert not ray_says.exits and "lost" not in capsys.readouterr().err


def test_a_head_that_does_not_answer_for_once_does_not_end_the_watch(ray_says, start, capsys, monkeypatch):
    look, first = ray_tables.look, iter([True])

    def busy_at_first():
        if next(first, False):
            raise RpcError("Deadline Exceeded\nand more")
        return look()

    monkeypatch.setattr(ray_tables, "look", busy_at_first)
    dog = start(None, stop=False)
    work(looks(ray_says, 2))
    end(dog)
    assert "head did not answer: Deadline Exceeded" in capsys.readouterr().err


# ---- a run that failed

VERL = RuntimeError("Sync replay buffer selected terminal groups with no materializable trajectories.")
ERRORS = [
    VERL,
    RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"),
    RuntimeError("NCCL error: remote process exited"),
    ActorUnavailableError("gone", None),
    ValueError("a verifiable reward is 0 or 1, got 0.5"),
    KeyError("prompts"),
]
# What the trainer publishes; it keeps the phase that it failed in.
STATUSES = [
    *(STATUS | {"phase": phase} for phase in sorted(set(progress.PHASES.values()))),
    STATUS | {"phase": f"validation > {progress.ROLLOUT}"},
    None,
]
LOST = {
    "lost worker W (pid 7) on node one (10.0.0.1)": cluster(died("W", "n1"), alive("V", "n2")),
    "lost node two (10.0.0.2), Ray node n2, with 1 × W": cluster(alive("W", "n2"), alive("V", "n1"), dead=("n2",)),
}


def left_with(dog: Watchdog, error: Exception) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        end(dog, error)
    return left.value.code


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status["phase"] if status else "not started")
@pytest.mark.parametrize(("line", "tables"), LOST.items(), ids=["worker", "node"])
def test_every_loss_in_every_phase_is_76_whatever_the_error_says(ray_says, capsys, status, line, tables):
    ray_says.status = status
    for error in ERRORS:
        ray_says.cluster = tables
        assert left_with(Watchdog(), error) == 76
        said = capsys.readouterr().err
        during = f"{status['phase']} of step 3" if status else "the start"
        assert f"watchdog: {line} during {during}: " in said
        assert str(error).splitlines()[0] in said, "the run's own error is there too"


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "runs/x/metrics.jsonl"),
        RuntimeError("ray::WorkerDict.save_checkpoint()\n  File …\nOSError: [Errno 122] Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:672] . PytorchStreamWriter failed writing file data/3"),
    ],
    ids=["disk", "quota", "torch"],
)
def test_a_full_disk_is_74_and_says_what_to_do(ray_says, start, tmp_path, capsys, error):
    ray_says.status = STATUS | {"at": time.time(), "phase": "save checkpoint"}
    dog = start(None, stop=False)
    assert left_with(dog, error) == watchdog.EXIT_UNWRITTEN == 74
    said = capsys.readouterr().err
    assert "watchdog: a file could not be written during save checkpoint of step 3: " in said
    assert "GiB are free at " in said and "make room, then the same command resumes" in said


def test_a_ray_that_does_not_start_in_time_is_75(monkeypatch, capsys):
    monkeypatch.setattr(watchdog.ray, "is_initialized", lambda: False)
    error = Exception("The current node timed out during startup. This could happen because some of the raylet failed")
    assert left_with(Watchdog(), error) == 75
    said = capsys.readouterr().err
    assert "Ray's own processes did not start in the time" in said and "the same command starts it again" in said
    end(Watchdog(), ValueError("no such argument of ray.init"))  # keeps its own error and exit code


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_run_that_failed_by_itself_keeps_its_own_error(ray_says, capsys, error):
    """Promptly: everybody answers, so there is nothing to wait for."""
    end(Watchdog(), error)
    assert ray_says.looks <= 4
    assert "watchdog" not in capsys.readouterr().err


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_that_is_here_before_ray_knows_its_cause(ray_says, capsys, monkeypatch, error):
    """A busy machine: Ray calls the node dead long after the run has failed."""
    verdict_after = itertools.count()

    def silent(_: ray_tables.Cluster) -> list[str]:
        if next(verdict_after) < 10:
            return ["node two (10.0.0.2)"]
        ray_says.cluster = LOST["lost node two (10.0.0.2), Ray node n2, with 1 × W"]
        return []

    monkeypatch.setattr(ray_tables, "silent", silent)
    assert left_with(Watchdog(), error) == 76
    said = capsys.readouterr().err
    assert said.count("no answer from node two (10.0.0.2): waiting up to 600 s") == 1
    assert "lost node two (10.0.0.2)" in said


@pytest.mark.parametrize("watched", [True, False], ids=["while it ran", "at its end"])
def test_a_run_that_lets_go_of_its_workers_when_it_fails(ray_says, start, capsys, monkeypatch, watched):
    """They were on a node that is gone, which Ray does not know yet: it writes down that the run ended them."""
    let_go = died("W", "n2", "OUT_OF_SCOPE", lost=False)

    def verdicts() -> Iterator[list[str]]:
        yield ["node two (10.0.0.2)"]
        ray_says.cluster = cluster(let_go)
        yield from [["node two (10.0.0.2)"]] * 3
        ray_says.cluster = cluster(let_go, dead=("n2",))
        yield from itertools.repeat([])

    ray_says.cluster = cluster(alive("W", "n2"))
    dog = start(None, stop=False)
    work(looks(ray_says, 2))
    answers = verdicts()
    if watched:
        next(answers)
        ray_says.cluster = cluster(let_go)
        work(looks(ray_says, 2))
    monkeypatch.setattr(ray_tables, "silent", lambda _: next(answers))
    assert left_with(dog, VERL) == 76
    assert "lost node two (10.0.0.2), Ray node n2, with 1 × W during" in capsys.readouterr().err


def test_a_worker_that_dies_just_before_its_node_does_not_hide_the_node(ray_says, capsys, monkeypatch):
    def verdicts() -> Iterator[list[str]]:
        ray_says.cluster = cluster(died("W", "n2"))
        yield from [["node two (10.0.0.2)"]] * 3
        ray_says.cluster = cluster(died("W", "n2"), dead=("n2",))
        yield from itertools.repeat([])

    answers = verdicts()
    monkeypatch.setattr(ray_tables, "silent", lambda _: next(answers))
    assert left_with(Watchdog(), VERL) == 76
    said = capsys.readouterr().err.splitlines()
    assert "lost node two (10.0.0.2), Ray node n2, with 1 × W" in said[-2]


def test_patience_is_bounded(ray_says, capsys, monkeypatch):
    """What does not answer and is never called dead is no loss, but it is said."""
    monkeypatch.setattr(ray_tables, "patience_s", lambda: 0.1)
    ray_says.silent = ["node two (10.0.0.2)"]
    end(Watchdog(), VERL)
    assert "Ray still calls alive what does not answer: node two (10.0.0.2)" in capsys.readouterr().err


def test_processes_that_the_kernel_killed_for_memory_are_named(ray_says, start, capsys, monkeypatch):
    killed = iter([5, 7])
    monkeypatch.setattr(watchdog, "killed_for_memory", lambda: next(killed))
    dog = start(None, stop=False)
    dog.ended.set()
    work(lambda: not any(thread.name == "rlvr-watchdog" for thread in threading.enumerate()))
    ray_says.cluster = cluster(died("W", "n1"))
    assert left_with(dog, VERL) == 76
    assert "the kernel of the driver's machine has killed 2 processes for memory" in capsys.readouterr().err


def test_the_kernel_counts_what_it_kills():
    assert watchdog.killed_for_memory() >= 0
