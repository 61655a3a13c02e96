"""Old checkpoints go, also those from before a resume."""

import pytest
from omegaconf import OmegaConf

from rlvr.training.checkpoints import KeepNewest


def save(run, step: int, keep: int | None) -> set[str]:
    """What a save of ``step`` leaves."""
    folder = run / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "data.pt").touch()
    callback = KeepNewest(OmegaConf.create({"trainer": {"max_actor_ckpt_to_keep": keep}}))
    callback.on_save(trainer=None, global_step=step, checkpoint_dir=str(folder), async_save=False)
    return {path.name for path in run.iterdir()}


def test_the_newest_are_kept_by_number_not_by_name(tmp_path):
    (tmp_path / "global_step_old").mkdir()  # not a checkpoint
    for step in (8, 9, 10):
        left = save(tmp_path, step, keep=2)
    assert left == {"global_step_9", "global_step_10", "global_step_old"}


def test_null_keeps_all(tmp_path):
    for step in (1, 2, 3):
        left = save(tmp_path, step, keep=None)
    assert len(left) == 3


@pytest.mark.parametrize("later", [20, 30])
def test_a_later_step_of_an_undone_run_is_not_counted(tmp_path, later):
    (tmp_path / f"global_step_{later}").mkdir()
    save(tmp_path, 5, keep=2)
    assert save(tmp_path, 6, keep=2) == {"global_step_5", "global_step_6", f"global_step_{later}"}
