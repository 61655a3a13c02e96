"""Weights that change during training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.methods import sample_advantages
from rlvr.methods.schedule import SettingError, weight, weight_at


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (0.3, {1: 0.3, 100: 0.3}),
        ({"shape": "linear", "start": 1, "end": 0, "last": 101}, {1: 1.0, 51: 0.5, 101: 0.0, 500: 0.0}),
        ({"shape": "linear", "start": 0, "end": 1, "first": 10, "last": 20}, {1: 0.0, 10: 0.0, 15: 0.5, 20: 1.0}),
        ({"shape": "cosine", "start": 1, "end": 0, "last": 101}, {1: 1.0, 26: 0.8535534, 51: 0.5, 101: 0.0}),
        ({"shape": "piecewise", "points": [[5, 1.0], [10, 0.5]]}, {1: 1.0, 5: 1.0, 9: 1.0, 10: 0.5, 99: 0.5}),
    ],
)
def test_by_step(value, at):
    parsed = weight("w", value)
    for step, expected in at.items():
        assert weight_at(parsed, step, accuracy=0.7) == pytest.approx(expected)


def test_by_accuracy():
    parsed = weight("w", {"shape": "linear", "by": "accuracy", "start": 1, "end": 0.2})
    assert [weight_at(parsed, 1, accuracy) for accuracy in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2])


@given(
    st.integers(1, 1000), st.floats(0, 1), st.sampled_from(["linear", "cosine"]), st.sampled_from(["step", "accuracy"])
)
def test_stays_between_start_and_end(step, accuracy, shape, by):
    last = {"last": 300} if by == "step" else {}
    parsed = weight("w", {"shape": shape, "by": by, "start": 0.2, "end": 0.9, **last})
    assert 0.2 - 1e-12 <= weight_at(parsed, step, accuracy) <= 0.9 + 1e-12


@pytest.mark.parametrize(
    "value",
    [
        -0.1, "much", True, float("nan"), None, [], {}, {"shape": "cubic", "start": 1, "end": 0, "last": 9},
        {"shape": "linear", "start": 1, "end": 0},
        {"shape": "linear", "start": 1, "end": 0, "last": 1},
        {"shape": "linear", "start": -1, "end": 0, "last": 9},
        {"shape": "linear", "start": 1, "last": 9},
        {"shape": "linear", "by": "luck", "start": 1, "end": 0, "last": 9},
        {"shape": "linear", "start": 1, "end": 0, "last": 9, "speed": 2},
        {"shape": "piecewise", "points": []},
        {"shape": "piecewise", "points": [[5, 1], [5, 2]]},
        {"shape": "piecewise", "points": [[5, 1, 2]]},
        {"shape": "piecewise", "points": [[5, -1]]},
        {"shape": "piecewise", "points": "51"},
    ],
)  # fmt: skip
def test_what_is_no_weight(value):
    with pytest.raises(SettingError) as error:
        weight("w", value)
    assert str(error.value).startswith("w=") and "\n" not in str(error.value)


def test_methods_follow_their_schedules():
    falling = {"shape": "linear", "start": 1.0, "end": 0.0, "last": 11}
    samples = ([1, 0, 0, 0], [0, 0, 1, 1])
    found = [
        sample_advantages("negative", *samples, step=step, negative_advantage_weight=falling) for step in (1, 6, 11)
    ]
    assert [one[1].item() for one in found] == pytest.approx([-1.0, -0.5, 0.0])
    by_accuracy = {"shape": "linear", "by": "accuracy", "start": 1.0, "end": 0.0}
    found = sample_advantages(
        "weighted", *samples, positive_advantage_weight=by_accuracy, negative_advantage_weight=0.5
    )
    assert found.tolist() == pytest.approx([0.75, -0.5, -0.5, -0.5])
