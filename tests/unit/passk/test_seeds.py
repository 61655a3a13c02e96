"""Several seeds as one estimate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passk import seeds
from passk.estimate import estimate
from passk.seeds import bootstrap, difference_seeds, estimate_seeds
from tests.unit.passk.test_estimate import counted


def test_one_seed_is_the_estimate_of_its_file():
    counts = counted([(16, c) for c in (0, 1, 3, 8, 16, 16, 2)], None)
    alone, one_seed = estimate("m", counts, [1, 4, 16], majority=False), estimate_seeds("m", [counts], [1, 4, 16])
    for k in (1, 4, 16):
        assert one_seed.pass_at_k[k].value == pytest.approx(alone.pass_at_k[k].value, abs=1e-12)
        # two draws of 10,000 resamples of the same distribution
        assert one_seed.pass_at_k[k].low == pytest.approx(alone.pass_at_k[k].low, abs=0.03)
        assert one_seed.pass_at_k[k].high == pytest.approx(alone.pass_at_k[k].high, abs=0.03)
    assert one_seed.solved_never.value == alone.solved_never.value == pytest.approx(1 / 7)
    assert one_seed.solved_always.value == alone.solved_always.value == pytest.approx(2 / 7)


@given(st.lists(st.lists(st.integers(0, 8), min_size=5, max_size=5), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_mean_over_seeds(rows):
    tallies = [counted([(8, c) for c in row], None) for row in rows]
    result = estimate_seeds("m", tallies, [1, 8])
    assert result.pass_at_k[1].value == pytest.approx(np.mean(rows) / 8)
    assert result.pass_at_k[8].value == pytest.approx((np.array(rows) > 0).mean())
    for one in result.pass_at_k.values():
        assert one.low - 1e-12 <= one.value <= one.high + 1e-12


def test_intervals_hold_what_was_drawn_from(monkeypatch):
    """Coverage of the bootstrap over questions and seeds, on data whose mean is known."""
    monkeypatch.setattr(seeds, "RESAMPLES", 1000)
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(60):
        of_seeds, of_questions = generator.normal(0, 0.05, (12, 1)), generator.normal(0, 0.2, (1, 80))
        [one] = bootstrap((0.5 + of_seeds + of_questions)[..., None])
        inside += one.low <= 0.5 <= one.high
    assert inside >= 50  # 57 expected


def test_paired_difference_is_narrower_than_the_two_and_signed():
    easy = counted([(64, c) for c in (0, 10, 20, 30, 40, 50)], None)
    better = counted([(64, c + 4) for c in (0, 10, 20, 30, 40, 50)], None)
    result = difference_seeds("better", [better, better], "easy", [easy], [1])
    assert result.pass_at_k[1].value == pytest.approx(4 / 64)
    assert result.pass_at_k[1].low == pytest.approx(4 / 64) == result.pass_at_k[1].high


def test_other_questions_and_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="does not ask the questions"):
        estimate_seeds("m", [counted([(8, 1), (8, 2)], None), counted([(8, 1)], None)], [1])
    with pytest.raises(ValueError, match="pass@16 needs 16 samples"):
        estimate_seeds("m", [counted([(8, 1)], None)], [16])
