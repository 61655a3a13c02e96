"""A run that is asked to stop: what the file does, and what the driver makes of the end."""

import pytest

from rlvr.training.stop_file import StopFile, Stopped, stopped
from rlvr.training.trainer import DecomposedTrainer
from tests.unit.rlvr.training.one_batch import Queue


def test_a_file_of_an_earlier_run_stops_nothing(tmp_path):
    path = tmp_path / "stop"
    StopFile(path)
    path.touch()
    file = StopFile(path)
    assert not file.is_there()
    path.touch()
    assert file.is_there()


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (Stopped("asked to stop by runs/x/stop after step 3"), True),
        (RuntimeError("ray::TaskRunnerV1.run()\n  File …\nrlvr.training.stop_file.Stopped: asked to stop"), True),
        (RuntimeError("it has stopped"), False),
    ],
)
def test_the_driver_knows_it_from_a_failure(error, is_it):
    assert stopped(error) is is_it


@pytest.mark.parametrize(
    ("save_freq", "step", "saved_here"), [(-1, 4, True), (5, 4, True), (4, 4, False)], ids=["never", "later", "now"]
)
def test_the_step_is_saved_once_and_is_the_last(monkeypatch, tmp_path, save_freq, step, saved_here):
    from omegaconf import OmegaConf
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    monkeypatch.setattr(PPOTrainerSync, "step", lambda self, metrics, timing: Queue([2], seed=0).batch)
    one, saved = DecomposedTrainer.__new__(DecomposedTrainer), []
    one.config = OmegaConf.create({"trainer": {"save_freq": save_freq}})
    one.global_steps, one.total_training_steps, one.timing_raw, one.stopped = step, 9, {}, False
    one.stop_file = StopFile(tmp_path / "stop")
    one._save_checkpoint = lambda: saved.append(one.global_steps)
    one.step({}, {})
    assert (one.stopped, one.total_training_steps, saved) == (False, 9, [])
    (tmp_path / "stop").touch()
    one.step({}, {})
    assert (one.stopped, one.total_training_steps, saved) == (True, step, [step] if saved_here else [])


def test_a_run_at_its_last_step_just_ends(monkeypatch, tmp_path):
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    monkeypatch.setattr(PPOTrainerSync, "step", lambda self, metrics, timing: Queue([2], seed=0).batch)
    one = DecomposedTrainer.__new__(DecomposedTrainer)
    one.global_steps = one.total_training_steps = 9
    one.stop_file, one.stopped = StopFile(tmp_path / "stop"), False
    (tmp_path / "stop").touch()
    one.step({}, {})
    assert not one.stopped
