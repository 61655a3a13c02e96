"""What the watchdog says and when it ends a run; on the engine in tests/integration/test_lost_workers.py and test_two_nodes.py."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from ray.exceptions import RpcError

from rlvr.cluster import ray_tables
from rlvr.operate import watchdog
from tests.unit.rlvr.cluster.test_ray_tables import alive, cluster, died
from tests.unit.rlvr.operate.conftest import STATUS, end, looks, work


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
