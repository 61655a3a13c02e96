"""The plan, against figures worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.launch.plan import Plan

PAPER = Plan(
    questions=7500,
    validation_questions=5070,
    batch=1024,
    samples_each=8,
    validation_samples_each=1,
    mini_batch=256,
    epochs_of_updates=1,
    learns_from="all",
    total_steps=110,
    total_epochs=30,
    save_every=7,
    test_every=7,
    accuracy=0.6,
)


def test_the_papers_run():
    assert PAPER.samples == PAPER.kept == 8192
    assert PAPER.steps_per_epoch == 7
    assert PAPER.optimizer_steps == 4
    assert PAPER.steps == 110
    assert PAPER.checkpoints == PAPER.validations == 16  # 7, 14, …, 105 and the last
    text = "\n".join(PAPER.lines())
    assert "1024 questions × 8 = 8192 samples" in text and "110 steps = 15.7 epochs" in text


@pytest.mark.parametrize(
    ("learns_from", "accuracy", "kept", "optimizer_steps"),
    [("correct", 0.6, 4915, 3), ("incorrect", 0.6, 3277, 2), ("incorrect", 0.75, 2048, 1), ("incorrect", 1.0, 0, 0)],
)
def test_what_is_dropped_is_not_updated_on(learns_from, accuracy, kept, optimizer_steps):
    plan = replace(PAPER, learns_from=learns_from, accuracy=accuracy)
    assert (plan.kept, plan.optimizer_steps) == (kept, optimizer_steps)


def test_epochs_end_a_run_as_well_as_steps():
    assert replace(PAPER, total_steps=None, total_epochs=2).steps == 14
    assert replace(PAPER, total_epochs=2).steps == 14
    assert replace(PAPER, save_every=-1).checkpoints == 0


@pytest.mark.parametrize("accuracy", [-0.1, 1.1, float("nan")])
def test_an_accuracy_is_a_probability(accuracy):
    with pytest.raises(ValueError, match=r"launch\.assumed_accuracy"):
        replace(PAPER, accuracy=accuracy)


@given(accuracy=st.floats(0, 1))
def test_correct_and_incorrect_samples_are_all_samples(accuracy):
    kept = [replace(PAPER, learns_from=which, accuracy=accuracy).kept for which in ("correct", "incorrect")]
    assert abs(sum(kept) - PAPER.samples) <= 1
