"""Two Ray nodes on one machine: a run that loses one ends with 76 and resumes; one that hangs says where and ends with 75.

The run is GRPO's, with its KL loss and a weight on correct samples.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlvr.training import progress
from tests.integration.conftest import QUESTIONS, N, check_step, read_metrics
from tests.integration.two_nodes import HANGS_S, TwoNodes

WATCHDOG_S = 45  # longer than any phase of the tiny run on a busy machine
REWARD = """
import asyncio
from pathlib import Path
from rlvr.training.reward import compute_score as grade

async def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    while solution_str and Path({flag!r}).exists():
        Path({flag!r}).with_suffix(".held").touch()
        await asyncio.sleep(1)
    return await grade(data_source, solution_str, ground_truth, extra_info)
"""
PHASES = [
    progress.ROLLOUT,
    "reward",
    "old log-prob",
    "actor update",
    "weight sync",
    "save checkpoint",
    f"validation > {progress.ROLLOUT}",
]


@pytest.fixture
def two_nodes(tmp_path) -> Iterator[TwoNodes]:
    nodes = TwoNodes(tmp_path)
    try:
        yield nodes
    finally:
        nodes.close()


def until(condition, run: subprocess.Popen, log: Path) -> None:
    """Wait for ``condition`` while ``run`` lives."""
    deadline = time.monotonic() + HANGS_S
    while not condition():
        assert run.poll() is None, log.read_text()[-8000:]
        assert time.monotonic() < deadline, log.read_text()[-8000:]
        time.sleep(0.5)


def start_stand_ins(two_nodes: TwoNodes, folder: Path) -> dict[str, tuple[subprocess.Popen, Path]]:
    """A run without the engine in each phase, phase -> (run, log), all of which stand there. One more fails by itself."""
    found = {}
    for number, phase in enumerate(PHASES):
        log = folder / f"stand-in{number}.log"
        found[phase] = (two_nodes.run_stand_in(phase, log), log)
    log = folder / "failing.log"
    failing = two_nodes.run_stand_in("advantage", log, "+fails=true")
    assert failing.wait(timeout=HANGS_S) == 1
    assert "Connection closed by peer" in log.read_text()
    assert "watchdog: " not in log.read_text(), "there was nothing to wait for"
    for phase, (run, log) in found.items():
        until((folder / f"{phase}.held").exists, run, log)
    return found


def lost_node(log: Path) -> str:
    """The one line of the watchdog on what was lost."""
    (line,) = {line for line in log.read_text().splitlines() if line.startswith("watchdog: lost ")}
    assert "lost node" in line
    return line


@pytest.mark.timeout(4 * HANGS_S)
def test_a_lost_node_a_resume_and_a_hanging_reward(two_nodes, tiny, tmp_path):
    folder, flag, held = tmp_path / "run", tmp_path / "hang", tmp_path / "hang.held"
    (tmp_path / "reward.py").write_text(REWARD.format(flag=str(flag)))
    settings = [
        f"data.train_files={tiny}/train.parquet",
        f"data.val_files={tiny}/test.parquet",
        f"actor_rollout_ref.model.path={tiny}/model",
        f"trainer.default_local_dir={folder}",
        f"reward.custom_reward_function.path={tmp_path}/reward.py",
        "trainer.total_training_steps=900",
        "trainer.save_freq=1",
        "trainer.max_actor_ckpt_to_keep=2",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "algorithm.positive_learning_weight=0.5",
        f"data.train_batch_size={QUESTIONS}",
        f"actor_rollout_ref.rollout.n={N}",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    ]
    tracker = folder / "latest_checkpointed_iteration.txt"

    # The second node is not there: the launcher's wait names what is missing.
    assert two_nodes.wait("--nodes=1", f"--timeout={HANGS_S // 2}").returncode == 0
    absent = two_nodes.wait("--timeout=1")
    assert absent.returncode == 2, absent.stderr
    assert "1 of 2 nodes with 1 GPUs are missing; not there: absent-node" in absent.stderr
    two_nodes.add_worker()
    present = two_nodes.wait(f"--timeout={HANGS_S // 2}")
    assert present.returncode == 0, present.stderr
    assert present.stdout.count("16 CPUs, 1 GPUs") >= 2

    # The second node is lost in a rollout. The run waits for its answers; Ray knows it after some seconds.
    log = tmp_path / "first.log"
    run = two_nodes.run("run_tiny_grpo.sh", log, *settings)
    until(tracker.is_file, run, log)
    flag.touch()
    until(held.exists, run, log)
    two_nodes.lose_worker()
    assert run.wait(timeout=HANGS_S) == 76, log.read_text()[-8000:]
    lost = lost_node(log)
    assert "1 × WorkerDict" in lost and "during rollout and reward of step " in lost
    saved = int(tracker.read_text())
    flag.unlink()
    held.unlink()

    # It is back: the same command goes on after the checkpoint. Then the reward function hangs.
    two_nodes.add_worker()
    assert two_nodes.wait(f"--timeout={HANGS_S // 2}").returncode == 0
    log = tmp_path / "second.log"
    watch = [f"trainer.watchdog.timeout_s={WATCHDOG_S}", "trainer.watchdog.stop=true"]
    run = two_nodes.run("run_tiny_grpo.sh", log, *settings, *watch)
    until(lambda: tracker.read_text().isdigit() and int(tracker.read_text()) >= saved + 2, run, log)
    flag.touch()
    until(held.exists, run, log)

    # Until the watchdog's time is up, the runs without the engine are started.
    stand_ins = start_stand_ins(two_nodes, tmp_path)
    assert run.wait(timeout=HANGS_S) == 75, log.read_text()[-8000:]
    output = log.read_text()
    assert "setting global step to " + str(saved) in output
    assert "waiting in rollout and reward" in output
    assert "rollout worker 0 waits for reward" in output and "compute_score > sleep" in output
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)), "no step is there twice"
    # verl saves a step before its metrics are known: the saved step's line is lost if the node is lost in between
    assert set(range(1, steps[-1] + 1)) - set(steps) <= {saved}
    # Two checkpoints are kept, those of the first run included.
    newest = int(tracker.read_text())
    assert {path.name for path in folder.glob("global_step_*")} == {
        f"global_step_{newest - 1}",
        f"global_step_{newest}",
    }
    for metrics in read_metrics(folder).values():
        check_step(metrics)
        assert metrics["rlvr/kept_count"] == QUESTIONS * N
        assert "actor/kl_loss" in metrics and "timing_s/ref" in metrics

    # The second node is lost once more. The runs without the engine fail at once, long before Ray knows it.
    two_nodes.lose_worker()
    for phase, (driver, its_log) in stand_ins.items():
        assert driver.wait(timeout=HANGS_S) == 76, its_log.read_text()
        assert f"with 1 × StandInWorker during {phase} of step 1: " in lost_node(its_log)
    assert any("no answer from node" in its_log.read_text() for _, its_log in stand_ins.values()), (
        "the errors came first"
    )
