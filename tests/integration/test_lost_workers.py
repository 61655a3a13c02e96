"""A worker killed in every phase of a run on the real engine.

Rollout servers and rollout workers are started anew, and the step has all of its samples. Without a training worker, without the
trainer, and without a server in the middle of a weight sync the run ends with exit code 76, and the line names the worker and the
phase.

Nothing here depends on timing. A phase is held open from outside: the reward function waits for a file, a process is stopped so
that the next phase that needs it stands still, a checkpoint is written into a pipe that nobody reads. The watchdog's own report
says when the run stands there; then the worker is killed.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rlvr.sample_files import sample_files
from rlvr.training.checkpoints import COMPLETE
from rlvr.training.rollout import SAMPLES_PER_REQUEST
from tests.conftest import ROOT
from tests.integration.conftest import QUESTIONS, N, read_metrics

A_STEP = (
    QUESTIONS * N
)  # answers; in its first step the trainer asks its workers once more than later, in a phase of its own
REPORT_S = 3  # the watchdog says after so long where the run stands
REWARD = """
import asyncio
from pathlib import Path
from rlvr.training.reward import compute_score as grade

HOLD, REACHED, FREE = Path({hold!r}), Path({reached!r}), {free}
graded = 0

async def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    global graded
    graded += bool(solution_str)  # before the start the function is tried on an empty answer
    while solution_str and graded > FREE and HOLD.exists():
        REACHED.touch()
        await asyncio.sleep(0.1)
    return await grade(data_source, solution_str, ground_truth, extra_info)
"""


class Training:
    """A run of the tiny model whose reward function waits after ``free`` answers, as long as the file ``hold`` is there."""

    def __init__(self, folder: Path, tiny: Path, *settings: str, free: int):
        self.folder = folder / "run"
        self.hold, self.reached = folder / "hold", folder / "reached"
        self.hold.touch()
        self.said = 0  # characters of the log when the run went on
        (folder / "reward.py").write_text(REWARD.format(hold=str(self.hold), reached=str(self.reached), free=free))
        command = [
            *("bash", str(ROOT / "run_tiny_psr_nsr.sh")),
            f"data.train_files={tiny}/train.parquet",
            f"data.val_files={tiny}/test.parquet",
            f"actor_rollout_ref.model.path={tiny}/model",
            f"trainer.default_local_dir={self.folder}",
            f"reward.custom_reward_function.path={folder}/reward.py",
            f"trainer.watchdog.timeout_s={REPORT_S}",
            "trainer.total_training_steps=2",
            "trainer.val_before_train=false",
            "trainer.save_freq=-1",
            "trainer.test_freq=-1",
            f"data.train_batch_size={QUESTIONS}",
            "data.val_max_samples=4",
            f"actor_rollout_ref.rollout.n={N}",
            f"actor_rollout_ref.actor.ppo_mini_batch_size={QUESTIONS}",
            *settings,
        ]
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def until_held(self) -> None:
        """Until an answer is being graded."""
        self.until(self.reached.exists)

    def until_it_stands_in(self, phase: str) -> None:
        """Until the watchdog says so; on a busy machine it may have said it of an earlier step."""
        stands = re.compile(rf"waiting in (.* > )?{phase}(,|$)", re.MULTILINE)
        self.until(lambda: stands.search(self.log.read_text()[self.said :]))

    def until(self, condition) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-8000:]
            assert time.monotonic() < deadline, self.log.read_text()[-8000:]
            time.sleep(0.1)

    def release(self) -> None:
        self.said = len(self.log.read_text())
        self.hold.unlink()

    def worker(self, name: str) -> psutil.Process:
        """The process of the actor class ``name``; Ray calls it so."""
        (found,) = self.workers(name)
        return found

    def workers(self, name: str) -> list[psutil.Process]:
        return [one for one in self.processes() if f"ray::{name}" in title(one)]

    def processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def kill(self, name: str) -> None:
        self.worker(name).send_signal(signal.SIGKILL)

    def whole_steps(self, samples: int = A_STEP) -> list[dict[str, Any]]:
        """Wait for the end, which must be exit code 0, and return the metrics of the steps, which must have all their samples."""
        assert self.process.wait(timeout=300) == 0, self.log.read_text()[-8000:]
        metrics = read_metrics(self.folder)
        assert sorted(metrics)[-2:] == [1, 2]
        steps = [metrics[1], metrics[2]]
        assert [one["rlvr/correct_count"] + one["rlvr/incorrect_count"] for one in steps] == [samples, samples]
        return steps

    def loss(self) -> str:
        """Wait for the end, which must be exit code 76, and return the watchdog's last word on what was lost."""
        assert self.process.wait(timeout=300) == 76, self.log.read_text()[-8000:]
        return [line for line in self.log.read_text().splitlines() if line.startswith("watchdog: lost ")][-1]

    def end(self) -> None:
        family = self.processes()
        for one in [*family, self.process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()


def title(process: psutil.Process) -> str:
    """Empty for one that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return "".join(process.cmdline()[:1])
    return ""


@pytest.fixture
def train(tiny, tmp_path) -> Iterator:
    started: list[Training] = []

    def train(*settings: str, free: int = 0) -> Training:
        started.append(Training(tmp_path, tiny, *settings, free=free))
        return started[-1]

    yield train
    for training in started:
        training.end()


SERVER, ROLLOUT_WORKER, TRAINING_WORKER, TRAINER = (
    "BatchedVLLMServer",
    "BatchedRolloutWorker",
    "WorkerDict",
    "TaskRunnerV1",
)


def test_rollout_server_lost_in_a_rollout(train):
    """The new one has the weights of the step before it gets a prompt."""
    run = train("trainer.val_before_train=true")
    run.until_held()  # in the validation, after which the first rollout needs the server
    run.worker(SERVER).suspend()
    run.release()
    run.until_it_stands_in("rollout and reward")
    run.kill(SERVER)
    first, second = run.whole_steps()
    assert (first["rlvr/restarted_rollout_servers"], second["rlvr/restarted_rollout_servers"]) == (1, 0)
    assert first["training/off_policy/trajectory_staleness/max"] == 0
    assert first["rlvr/retried_samples"] == 0


def test_one_of_two_rollout_servers_lost_in_a_rollout(train):
    """The other one answers its prompts, and it is there again when the rollouts are done."""
    n = 2 * SAMPLES_PER_REQUEST // QUESTIONS  # two requests a step, so that either server gets one
    run = train("trainer.val_before_train=true", "trainer.n_gpus_per_node=2", f"actor_rollout_ref.rollout.n={n}")
    run.until_held()
    lost = run.workers(SERVER)[0]
    lost.suspend()
    run.release()
    run.until_it_stands_in("rollout and reward")
    lost.kill()
    first, second = run.whole_steps(QUESTIONS * n)
    assert (first["rlvr/restarted_rollout_servers"], second["rlvr/restarted_rollout_servers"]) == (1, 0)
    assert [step["training/off_policy/trajectory_staleness/max"] for step in (first, second)] == [0, 0]
    assert first["rlvr/retried_samples"] == 0


def test_rollout_server_lost_in_the_update(train):
    """Nobody needs it then; it is there again for the weight sync."""
    run = train(free=A_STEP)
    run.until_held()  # in the second step
    run.worker(TRAINING_WORKER).suspend()
    run.release()
    run.until_it_stands_in("actor update")
    run.kill(SERVER)
    run.worker(TRAINING_WORKER).resume()
    _, second = run.whole_steps()
    assert second["rlvr/restarted_rollout_servers"] == 1


def test_rollout_worker_lost_in_the_reward(train):
    """Its prompts go to the worker in its place; without one, verl would wait for its answers forever."""
    run = train()
    run.until_held()
    run.kill(ROLLOUT_WORKER)
    run.release()
    first, second = run.whole_steps()
    assert (first["rlvr/restarted_rollout_workers"], second["rlvr/restarted_rollout_workers"]) == (1, 0)


def test_a_run_that_is_asked_to_stop_saves_its_step_and_leaves_with_75(train):
    run = train("trainer.samples_per_step=all", "trainer.total_training_steps=9")
    run.until_held()  # in the first step
    (run.folder / "stop").touch()
    run.release()
    assert run.process.wait(timeout=300) == 75, run.log.read_text()[-8000:]
    assert "watchdog: the run was asked to stop and has saved its last step" in run.log.read_text()
    assert list(read_metrics(run.folder)) == [1]
    assert (run.folder / "latest_checkpointed_iteration.txt").read_text() == "1"
    assert (run.folder / "global_step_1" / COMPLETE).is_file()
    (samples,) = sample_files(run.folder)
    assert (samples.step, len(samples.read())) == (1, A_STEP)


def lose_training_worker(run: Training, phase: str) -> dict[str, Any]:
    """In ``phase`` of the second step. Returns the metrics of the first."""
    run.until_held()
    run.worker(TRAINING_WORKER).suspend()
    run.release()
    run.until_it_stands_in(phase)
    run.kill(TRAINING_WORKER)
    assert f"{TRAINING_WORKER} (pid " in (line := run.loss()) and f"during {phase} of step 2: " in line
    return read_metrics(run.folder)[1]


def test_training_worker_of_nsr_with_mask_lost_in_the_old_log_probs(train):
    settings = ["algorithm.advantage=negative", "algorithm.sample_selection=mask"]
    run = train(*settings, "actor_rollout_ref.actor.ppo_epochs=2", free=A_STEP)
    metrics = lose_training_worker(run, "old log-prob")
    assert metrics["rlvr/kept_count"] == A_STEP
    assert metrics["rlvr/effective_examples"] == metrics["rlvr/incorrect_count"]
    assert metrics["rlvr/optimizer_steps"] == 2
    assert metrics["critic/advantages/min"] == -1.0
    assert metrics["critic/advantages/max"] == (0.0 if metrics["rlvr/correct_count"] else -1.0)


def test_training_worker_of_w_reinforce_lost_in_the_update(train):
    settings = ["algorithm.advantage=weighted", "algorithm.positive_advantage_weight=0.5"]
    metrics = lose_training_worker(train(*settings, free=A_STEP), "actor update")
    assert metrics["rlvr/kept_count"] == A_STEP
    assert metrics["rlvr/optimizer_steps"] == 1
    assert metrics["critic/advantages/min"] == -1.0
    assert metrics["critic/advantages/max"] == (0.5 if metrics["rlvr/correct_count"] else -1.0)


def test_training_worker_lost_while_it_writes_a_checkpoint(train):
    run = train("trainer.save_freq=1")
    run.until_held()
    folder = run.folder / "global_step_1" / "actor"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "model_world_size_1_rank_0.pt")
    run.release()
    run.until_it_stands_in("save checkpoint")
    run.kill(TRAINING_WORKER)
    assert f"{TRAINING_WORKER} (pid " in (line := run.loss()) and "during save checkpoint of step 1: " in line
    assert not (run.folder / "latest_checkpointed_iteration.txt").exists()


def test_rollout_server_lost_in_the_weight_sync(train):
    run = train(free=A_STEP)
    run.until_held()
    run.worker(TRAINING_WORKER).suspend()
    run.release()
    run.until_it_stands_in("actor update")
    run.worker(SERVER).suspend()
    run.worker(TRAINING_WORKER).resume()
    run.until_it_stands_in("weight sync")
    run.kill(SERVER)
    assert f"{SERVER} (pid " in (line := run.loss()) and "during weight sync of step 2: " in line


def test_trainer_lost_in_the_validation(train):
    run = train("trainer.val_before_train=true")
    run.until_held()
    run.kill(TRAINER)
    assert f"{TRAINER} (pid " in (line := run.loss()) and "during validation > rollout and reward of step 0: " in line
