"""Paths through (pass@1, pass@k): closed forms, and what must hold whatever the paths are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passk.frontier import SHARES, Path, after_training, first_reached, matched, method_path, reach, trace
from passk.tally import QuestionTally, Tally

KS = (16, 256)
FEW = 200  # resamples: enough for what is shown here


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("passk.frontier.RESAMPLES", FEW)
    monkeypatch.setattr("passk.frontier.CHUNK", FEW)


def straight(name, xs, values, seeds=1, questions=3):
    """A path on which every question and seed says the same: pass@k of (T,) lists."""
    x = np.broadcast_to(np.array(xs, float)[None, :, None], (seeds, len(xs), questions))
    y = np.stack([np.broadcast_to(np.array(one, float)[None, :, None], x.shape) for one in values], axis=-1)
    return Path(name, tuple(range(len(xs))), KS[: len(values)], x, y)


def test_a_value_is_where_the_level_is_first_reached():
    x = np.array([[0.2, 0.4, 0.3, 0.6]])
    y = np.array([[[1.0], [0.8], [0.1], [0.0]]])
    levels = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]])
    found = first_reached(x, y, levels)[0, :, 0]
    # 0.3 lies on the first segment, not where the path comes back to it; 0.5 on the last, two thirds of the way
    assert found[[1, 2, 3, 5]] == pytest.approx([1.0, 0.9, 0.8, 0.0])
    assert found[4] == pytest.approx(0.1 / 3)
    assert np.isnan(found[[0, 6]]).all(), "below the start and beyond the highest there is no value"


def test_two_straight_lines():
    """y = 1 − 2 (x − 0.2) and y = 1 − (x − 0.2), the first up to 0.5, the second up to 0.4."""
    psr = straight("psr", [0.2, 0.5], [[1.0, 0.4], [0.9, 0.9]])
    nsr = straight("nsr", [0.2, 0.3, 0.4], [[1.0, 0.9, 0.8], [0.9, 0.8, 0.9]])
    found = matched(nsr, psr)
    assert found.start == pytest.approx(0.2)
    assert found.levels == pytest.approx([0.25, 0.3, 0.35, 0.4])
    assert [one.value for one in found.at[16]] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert found.mean[16].value == pytest.approx(0.1)
    assert found.mean[256].value == pytest.approx(-0.05), "the triangle of the second k"
    for one in (*found.at[16], found.mean[16]):  # every question and seed says the same
        assert (one.low, one.high) == pytest.approx((one.value, one.value))


def test_reach_and_area():
    found = reach(straight("psr", [0.2, 0.5, 0.4], [[1.0, 0.4, 0.9]]))
    assert found.gain.value == pytest.approx(0.3)
    assert found.area[16].value == pytest.approx(0.3 * 0.7), "the trapezium up to the highest pass@1"
    fell = reach(straight("fell", [0.2, 0.1], [[1.0, 0.4]]))
    assert fell.gain.value == fell.area[16].value == 0


def test_without_a_common_range_there_is_no_comparison():
    fell = straight("fell", [0.2, 0.1], [[1.0, 0.9]])
    assert matched(fell, straight("nsr", [0.2, 0.3], [[1.0, 0.9]])) is None


@st.composite
def paths(draw, name="one", questions=4):
    """Two to four checkpoints after a base that all seeds share, whatever they do; the first of them is above the base."""
    seeds, steps = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    numbers = st.floats(0, 1, width=32)
    x = draw(arrays(float, (seeds, steps, questions), elements=numbers))
    y = draw(arrays(float, (seeds, steps, questions, 2), elements=numbers))
    x[:, 0], y[:, 0] = 0.05, 0.9
    x[:, 1] = np.maximum(x[:, 1], 0.1)
    return Path(name, tuple(range(steps)), KS, x, y)


@given(paths(), paths("other"))
def test_what_holds_of_any_two_paths(one, other):
    there, back = matched(one, other), matched(other, one)
    assert there.levels == pytest.approx(back.levels)
    for k in KS:
        for a, b in zip((*there.at[k], there.mean[k]), (*back.at[k], back.mean[k])):
            assert a.value == pytest.approx(-b.value, abs=1e-9)
            assert -1 <= a.low <= a.high <= 1
        differences = [first_at(one, k, level) - first_at(other, k, level) for level in there.levels]
        assert [a.value for a in there.at[k]] == pytest.approx(differences, abs=1e-9)


def first_at(path, k, level):
    """The same by a plain walk along the means."""
    x, y = path.coordinate.mean(axis=(0, 2)), path.values.mean(axis=(0, 2))[:, KS.index(k)]
    for index in range(1, len(x)):
        if x[index] >= level - 1e-12:
            share = (level - x[index - 1]) / (x[index] - x[index - 1])
            return y[index - 1] + share * (y[index] - y[index - 1])
    raise AssertionError("the level is not reached")


@given(paths())
def test_a_path_does_not_differ_from_itself(path):
    found = matched(path, path)
    assert all(one.value == pytest.approx(0, abs=1e-12) for k in KS for one in (*found.at[k], found.mean[k]))


@given(paths(), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_unit_of_the_coordinate_does_not_matter(path, scale, shift):
    other = straight("other", [0.05, 0.4], [[0.9, 0.7], [0.9, 0.2]], questions=4)

    def moved(one):
        return Path(one.name, one.steps, one.ks, scale * one.coordinate + shift, one.values)

    before, after = matched(path, other), matched(moved(path), moved(other))
    for k in KS:
        for a, b in zip((*before.at[k], before.mean[k]), (*after.at[k], after.mean[k])):
            assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-6)


@given(paths(), st.floats(0.05, 0.95))
def test_a_checkpoint_on_the_line_changes_nothing(path, share):
    """The means are what a path is made of: one more point on the way between the base and the first checkpoint."""

    def with_one_more(array):
        between = (1 - share) * array[:, :1] + share * array[:, 1:2]
        return np.concatenate([array[:, :1], between, array[:, 1:]], axis=1)

    steps = (*path.steps, len(path.steps))
    more = Path("more", steps, path.ks, with_one_more(path.coordinate), with_one_more(path.values))
    for k in KS:
        assert reach(more).area[k].value == pytest.approx(reach(path).area[k].value, abs=1e-9)
        for a, b in zip(matched(more, path).at[k], matched(path, path).at[k]):
            assert a.value == pytest.approx(b.value, abs=1e-9)


def test_the_interval_is_paired_by_question():
    """Two methods that differ by the same amount on every question: however unlike the questions, the interval is a point."""
    generator = np.random.default_rng(1)
    x, y = generator.uniform(0, 0.5, (1, 3, 40)), generator.uniform(0, 0.5, (1, 3, 40, 2))
    x[:, 1:] = x[:, :1] + np.array([0.1, 0.2])[None, :, None]  # both gain the same on every question
    one = Path("one", (0, 5, 10), KS, x, y)
    other = Path("other", (0, 5, 10), KS, x, y - np.array([0.0, 0.1, 0.1])[None, :, None, None])
    at_the_end = matched(one, other).at[256][-1]
    assert (at_the_end.low, at_the_end.high) == pytest.approx((0.1, 0.1))
    alone = trace(one)[-1].pass_at_k[256]
    assert alone.high - alone.low > 0.05


def test_the_seeds_are_in_the_interval():
    agreeing = straight("agreeing", [0.2, 0.4], [[0.9, 0.8]], seeds=3)
    ends = np.array([0.6, 0.8, 1.0])
    scattered = Path("scattered", (0, 1), (16,), agreeing.coordinate, agreeing.values.copy())
    scattered.values[:, 1, :, 0] = ends[:, None]
    point = trace(scattered)[1].pass_at_k[16]
    assert point.value == pytest.approx(0.8) and (point.low, point.high) == pytest.approx((0.6, 1.0))
    assert trace(agreeing)[1].pass_at_k[16].low == pytest.approx(0.8)


def test_after_training_minus_the_base_and_another_method():
    nsr, psr = straight("nsr", [0.2, 0.4], [[0.9, 0.7]], seeds=2), straight("psr", [0.2, 0.5], [[0.9, 0.6]])
    (minus_base,) = after_training(nsr).values()
    assert (minus_base.value, minus_base.low, minus_base.high) == pytest.approx((-0.2, -0.2, -0.2))
    assert after_training(nsr, psr)[16].value == pytest.approx(0.1)


@given(paths(), paths("other"))
def test_after_training_is_the_difference_of_the_means(one, other):
    found = after_training(one, other)
    for column, k in enumerate(KS):
        means = [path.values[:, -1, :, column].mean() for path in (one, other)]
        assert found[k].value == pytest.approx(means[0] - means[1], abs=1e-9)


def test_a_path_carries_another_value():
    """Entropy over pass@1: the value of a checkpoint, whatever the questions."""
    path = straight("nsr", [0.2, 0.4], [[0.9, 0.7]], seeds=2).carrying("entropy", [[0.2, 0.1], [0.2, 0.14]])
    other = straight("psr", [0.2, 0.4], [[0.9, 0.7]]).carrying("entropy", [[0.2, 0.06]])
    assert after_training(path)["entropy"].value == pytest.approx(-0.08)
    found = matched(path, other)
    assert found.at["entropy"][-1].value == pytest.approx(0.06)
    assert found.mean["entropy"].value == pytest.approx(0.03)


def counts(right, n=16, questions=5):
    """Every question with ``right`` of ``n`` right."""
    one = {key: QuestionTally(text=key, seen=(1 << n) - 1, right=(1 << right) - 1) for key in range(questions)}
    return Tally(path=None, questions=one)


def test_a_path_from_samples():
    runs = [{10: counts(8), 5: counts(4)}, {5: counts(6), 10: counts(8)}]
    path = method_path("nsr", counts(2), runs, (16,))
    assert path.steps == (0, 5, 10) and path.values.shape == (2, 3, 5, 1)
    assert path.coordinate.mean(axis=(0, 2)) == pytest.approx([2 / 16, 5 / 16, 8 / 16])
    assert (path.values == 1).all(), "16 samples of which one is right make pass@16 = 1"
    entropy = path.along([[0.2, 0.15, 0.1], [0.2, 0.16, 0.12]])
    assert [point.coordinate.value for point in trace(entropy)] == pytest.approx([0.2, 0.155, 0.11])
    with pytest.raises(ValueError, match="different checkpoints"):
        method_path("nsr", counts(2), [{5: counts(4)}, {10: counts(4)}], (16,))
    with pytest.raises(ValueError, match="no run"):
        method_path("nsr", counts(2), [], (16,))
    with pytest.raises(ValueError, match="same questions and k"):
        matched(path, method_path("nsr", counts(2), runs, (8,)))


def test_the_shares_end_at_the_end():
    assert SHARES[-1] == 1.0 and sorted(SHARES) == list(SHARES)
