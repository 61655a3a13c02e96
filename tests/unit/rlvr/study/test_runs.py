"""Runs: names, settings, learning rates, and the command that makes one."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from rich.progress import Progress

from rlvr.study import commands
from rlvr.study.commands import RunFailed, training_command
from rlvr.study.load import load
from rlvr.study.local import locked
from rlvr.study.runs import plan, rate_text, value_text
from tests.conftest import ROOT
from tests.unit.rlvr.study.made import specification

CHOSEN = {
    "one_update": {name: 1e-4 for name in load(ROOT / "studies" / "tiny.yaml").methods},
    "four_updates": {name: 6e-5 for name in ("psr", "nsr", "w_reinforce")},
}


@pytest.fixture
def tiny():
    return load(ROOT / "studies" / "tiny.yaml")


def test_arms_share_the_runs_that_are_the_same(tiny):
    planned = plan(tiny, list(tiny.arms), CHOSEN, [])
    assert planned.arms["paper"]["psr"] == planned.arms["methods"]["psr"]
    assert planned.arms["lambda"]["w_reinforce"] == planned.arms["paper"]["w_reinforce"]
    names = [run.name for run in planned.runs]
    assert len(names) == len(set(names)) == 3 * (12 + 3 + 3 + 4)
    assert [run.seed for run in planned.runs] == sorted(run.seed for run in planned.runs), "whole seeds first"
    assert {"psr-lr6e-5-seed1", "psr-ppo_mini_batch_size_32-lr6e-5-seed1"} <= set(names)


def test_a_run_is_told_everything(tiny):
    (run, *_) = plan(tiny, ["four_updates"], CHOSEN, ["trainer.x=1"]).arms["four_updates"]["w_reinforce"]
    assert run.launcher == "run_tiny_psr_nsr.sh"
    for setting in (
        "algorithm.advantage=weighted",
        "algorithm.positive_advantage_weight=0.1",
        "actor_rollout_ref.actor.ppo_mini_batch_size=32",
        "actor_rollout_ref.actor.optim.lr=6e-5",
        "data.val_files=data/tiny/tune.parquet",
        "seed=1",
    ):
        assert setting in run.overrides
    assert run.overrides[-1] == "trainer.x=1", "the command line's come last"


def test_a_method_may_take_the_rate_of_another(tiny):
    chosen = {"one_update": {"w_reinforce": 2e-4}}
    planned = plan(tiny, ["lambda"], chosen, [])
    assert {runs[0].learning_rate for runs in planned.arms["lambda"].values()} == {2e-4}
    with pytest.raises(RunFailed, match="no learning rate was chosen for paper: psr; paper: nsr; paper: grpo"):
        plan(tiny, ["paper"], chosen, [])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True).map(sorted))
def test_every_checkpoint_is_saved(checkpoints):
    """verl saves after every ``save_freq`` steps and after the last."""
    from pathlib import Path

    words = dict(word.split("=", 1) for word in training_command("run.sh", [], Path("runs/x"), checkpoints)[2:])
    every, last = int(words["trainer.save_freq"]), int(words["trainer.total_training_steps"])
    assert last == checkpoints[-1]
    assert all(step % every == 0 or step == last for step in checkpoints)
    assert words["trainer.max_actor_ckpt_to_keep"] == "null", "none is removed before it has answered"


@given(st.floats(1e-9, 1, allow_nan=False))
def test_a_rate_is_written_shortly(rate):
    assert float(rate_text(rate)) == pytest.approx(rate, rel=1e-5)
    assert rate_text(float(rate_text(rate))) == rate_text(rate)


def test_rates_in_the_names_of_folders():
    assert [rate_text(rate) for rate in (1e-4, 6e-5, 1.5e-5, 1e-6)] == ["1e-4", "6e-5", "1.5e-5", "1e-6"]


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.lists(st.integers(), max_size=4), st.floats(-1e3, 1e3)))
def test_a_setting_comes_out_as_it_went_in(value):
    found = OmegaConf.to_container(OmegaConf.from_dotlist([f"key={value_text(value)}"]))["key"]
    assert found == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


def test_one_model_and_several_are_answered_where_they_are_looked_for(tmp_path):
    from rlvr.study.runs import asked_of

    spec = load(specification(tmp_path))
    for models in ({"step_2": "a"}, {"step_2": "a", "step_4": "b"}):
        words = commands.evaluation_command(models, ["held/test.parquet"], tmp_path / "x", spec.sampling(), 12)
        flags = dict(word.removeprefix("--").split("=", 1) for word in words[3:])
        folder = tmp_path / "x" / ("step_2" if len(models) == 1 else "")
        assert flags["output_dir"] == str(folder) or flags["output_dir"] == str(tmp_path / "x")
        assert flags["num_generation"] == "8" and flags["limit"] == "12" and flags["top_p"] == "0.95"
    assert asked_of(spec).files("base", 0)["countdown"].name == "held-test.jsonl"


def failing(code: int = 3):
    return ["bash", "-c", f"echo said; echo complained >&2; exit {code}"]


def test_an_evaluation_without_a_log_fails_where_people_see_it(capfd):
    with pytest.raises(RunFailed, match=r"evaluation failed with exit code 3$"):
        commands.evaluate(failing())
    assert capfd.readouterr() == ("said\n", "complained\n")


def test_an_evaluation_with_a_log_fails_with_the_end_of_it(tmp_path):
    log = tmp_path / "evaluation.log"
    with pytest.raises(RunFailed) as failure:
        commands.evaluate(failing(), log)
    assert "complained" in str(failure.value) and str(log) in str(failure.value)
    assert "said" in log.read_text()


def test_training_that_fails_says_the_end_of_its_log(tmp_path):
    with commands.progress_bar() as progress, pytest.raises(RunFailed, match="complained") as failure:
        commands.train(failing(1), tmp_path / "run", 2, progress)
    assert "training of run failed with exit code 1" in str(failure.value)


def test_the_last_step_in_a_few_words(tmp_path):
    assert commands.last_step(tmp_path / "none") == (0, "starting the engine")
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 0}\n{"step": 3, "rlvr/accuracy": 0.25, "rlvr/kept_count": 12, "actor/entropy": 0.2}\n')
    assert commands.last_step(file) == (3, "accuracy 0.25  kept 12  entropy 0.200")


@pytest.mark.parametrize(
    ("ends", "starts"), [([76, 75, 0], 3), ([0], 1), ([1], 1), ([76] * 9, commands.STARTS)], ids=str
)
def test_a_run_is_started_again_where_that_is_worth_it(tmp_path, ends, starts):
    """``ends``: the exit codes of its starts."""
    (tmp_path / "ends").write_text("".join(f"{code}\n" for code in ends))
    launcher = f"cd {tmp_path}; echo x >> starts; exit $(sed -n $(wc -l < starts)p ends)"
    with Progress(disable=True) as progress:
        if ends[starts - 1]:
            with pytest.raises(RunFailed, match=f"exit code {ends[starts - 1]}"):
                commands.train(["bash", "-c", launcher], tmp_path, 1, progress)
        else:
            commands.train(["bash", "-c", launcher], tmp_path, 1, progress)
    assert (tmp_path / "starts").read_text().count("x") == starts


STUDY = """
import sys
from pathlib import Path
from rlvr.study import commands, local

commands.stop_on_sigterm()
folder = Path(sys.argv[1])

def job(progress):
    with local.locked(folder) as lock:
        commands.train(["bash", str(folder / "launcher.sh")], folder, 1, progress, lock)

try:
    local.run_all([("run", job)], 1)
except KeyboardInterrupt:
    sys.exit(commands.exit_code_of_interrupt())
"""


@pytest.fixture
def study_of_one(tmp_path):
    """A study whose launcher runs something long, and what that is; it ends with an exit code that is worth another start."""
    begun = tmp_path / "begun"
    (tmp_path / "launcher.sh").write_text(f"sleep 600 &\necho $! >> {begun}\nwait $!\nexit 75\n")
    study = subprocess.Popen([sys.executable, "-c", STUDY, str(tmp_path)])
    while not begun.exists() or not begun.read_text():
        assert study.poll() is None
        time.sleep(0.05)
    (pid,) = begun.read_text().split()
    yield study, psutil.Process(int(pid))
    study.kill()
    study.wait()


def test_sigterm_takes_what_was_started_along(study_of_one, tmp_path):
    study, program = study_of_one
    study.terminate()
    assert study.wait(timeout=60) == 128 + signal.SIGTERM
    assert not program.is_running() and (tmp_path / "begun").read_text().count("\n") == 1, "nothing is started again"


def test_a_run_whose_study_was_killed_is_not_begun_twice(study_of_one, tmp_path):
    study, program = study_of_one
    study.kill()
    study.wait()
    with pytest.raises(RunFailed, match="another program is at work on this run"), locked(tmp_path):
        pass
    launcher = program.parent()
    program.kill()
    psutil.wait_procs([launcher], timeout=60)
    with locked(tmp_path):
        pass
