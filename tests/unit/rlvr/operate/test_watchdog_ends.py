"""What the watchdog makes of a run that failed: what it says was the cause, and the exit code."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from ray.exceptions import ActorUnavailableError

from rlvr.cluster import ray_tables
from rlvr.operate import watchdog
from rlvr.operate.watchdog import Watchdog
from rlvr.training import progress
from rlvr.training.stop_file import Stopped
from tests.unit.rlvr.cluster.test_ray_tables import alive, cluster, died
from tests.unit.rlvr.operate.conftest import STATUS, end, looks, work

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


def test_a_run_that_was_asked_to_stop_is_75(ray_says, capsys):
    assert left_with(Watchdog(), Stopped("asked to stop by runs/x/stop after step 3")) == 75
    assert "the run was asked to stop and has saved its last step" in capsys.readouterr().err


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


def test_it_counts_where_the_run_fails_before_another_stands_in(ray_says, start):
    dog = start(None, stop=False)
    ray_says.status = STATUS | {"at": time.time(), "recovers": ["W"]}
    ray_says.cluster = cluster(died("W", "n1"))
    assert left_with(dog, RuntimeError("no memory")) == watchdog.EXIT_LOST
