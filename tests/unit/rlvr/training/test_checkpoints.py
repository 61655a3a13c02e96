"""Old checkpoints go, also those from before a resume; a run resumes from the newest complete one."""

import pytest
from omegaconf import OmegaConf

from rlvr.training.checkpoints import (
    COMPLETE,
    TRACKER,
    KeepNewest,
    NoCompleteCheckpoint,
    Resume,
    where_to_resume,
)


def save(run, step: int, keep: int | None) -> set[str]:
    """What a save of ``step`` leaves."""
    folder = run / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True, exist_ok=True)
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


def test_an_incomplete_checkpoint_does_not_push_out_a_complete_one(tmp_path):
    save(tmp_path, 1, keep=2)
    (tmp_path / "global_step_2").mkdir()  # never finished
    assert save(tmp_path, 3, keep=2) == {"global_step_1", "global_step_2", "global_step_3"}
    assert save(tmp_path, 4, keep=2) == {"global_step_3", "global_step_4"}


@pytest.fixture
def run(tmp_path):
    """A run with checkpoints of steps 10, 20 and 30."""
    for step in (10, 20, 30):
        shard = tmp_path / f"global_step_{step}" / "actor" / "model.pt"
        shard.parent.mkdir(parents=True)
        shard.write_bytes(bytes([step]) * 3_000_000)
        save(tmp_path, step, keep=None)
        (tmp_path / TRACKER).write_text(str(step))
    return tmp_path


def test_a_run_resumes_from_the_newest(run):
    assert where_to_resume(run) == Resume(run / "global_step_30")


def test_a_run_without_checkpoints_starts(tmp_path):
    assert where_to_resume(tmp_path) == Resume(None)


def cut(shard):
    with shard.open("r+b") as file:
        file.truncate(2_000_000)


def zero(shard, at):
    with shard.open("r+b") as file:
        file.seek(at)
        file.write(bytes(4096))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "has 2000000 bytes, not 3000000"),
        (lambda shard: shard.unlink(), "is missing"),
        (lambda shard: zero(shard, 0), "is not what was saved"),
        (lambda shard: zero(shard, 2_990_000), "is not what was saved"),
        (lambda shard: (shard.parent.parent / COMPLETE).write_text('{"actor'), "complete.json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_and_named(run, damage, said):
    damage(run / "global_step_30" / "actor" / "model.pt")
    resume = where_to_resume(run)
    assert resume.folder == run / "global_step_20"
    (line,) = resume.passed_over
    assert line.startswith("global_step_30: ") and said in line


def test_a_save_that_was_cut_is_passed_over(run):
    """verl names a checkpoint at the end of a save, so a folder that it does not name was not finished."""
    shard = run / "global_step_40" / "actor" / "model.pt"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"half")
    assert where_to_resume(run) == Resume(run / "global_step_30")


def test_verls_file_may_name_an_older_one(run):
    (run / TRACKER).write_text("20")
    assert where_to_resume(run).folder == run / "global_step_20"


def test_verls_file_may_be_cut(run):
    (run / TRACKER).write_text("")
    assert where_to_resume(run).folder == run / "global_step_30"


def test_a_checkpoint_of_another_version_counts_if_it_is_named(run):
    for step in (20, 30):
        (run / f"global_step_{step}" / COMPLETE).unlink()
    assert where_to_resume(run).folder == run / "global_step_30"
    (run / "global_step_30").rename(run / "gone")
    resume = where_to_resume(run)
    assert resume.folder == run / "global_step_10"
    assert resume.passed_over == ["global_step_20: it has no complete.json, so it was not saved to its end"]


def test_without_a_complete_checkpoint_a_run_does_not_start_anew_in_silence(run):
    for step in (10, 20, 30):
        cut(run / f"global_step_{step}" / "actor" / "model.pt")
    with pytest.raises(NoCompleteCheckpoint, match=r"global_step_30: .*global_step_10: .*resume_mode=disable"):
        where_to_resume(run)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    (tmp_path / TRACKER).write_text("7")
    with pytest.raises(NoCompleteCheckpoint, match=r"global_step_7, which .* names, is not there"):
        where_to_resume(tmp_path)
