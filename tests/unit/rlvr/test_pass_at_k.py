"""Unbiased pass@k against exact rational arithmetic."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.pass_at_k import pass_at_k, powers_of_two


@st.composite
def cases(draw):
    n = draw(st.integers(1, 256))
    counts = draw(st.lists(st.integers(0, n), min_size=1, max_size=8))
    return n, counts, draw(st.integers(1, n))


@given(cases())
def test_equals_exact_arithmetic(case):
    n, counts, k = case
    exact = [float(1 - Fraction(comb(n - c, k), comb(n, k))) for c in counts]
    assert pass_at_k(n, counts, k).tolist() == pytest.approx(exact, abs=1e-12)


@given(cases())
def test_rises_with_k(case):
    n, counts, k = case
    if k < n:
        assert (pass_at_k(n, counts, k) <= pass_at_k(n, counts, k + 1) + 1e-12).all()


def test_pass_at_1_is_the_accuracy_and_pass_at_n_is_solved_at_least_once():
    assert pass_at_k(4, [0, 1, 4], 1).tolist() == pytest.approx([0, 0.25, 1])
    assert pass_at_k(4, [0, 1, 4], 4).tolist() == pytest.approx([0, 1, 1])


@pytest.mark.parametrize(("n", "counts", "k"), [(4, [1], 0), (4, [1], 5), (4, [5], 1), (4, [-1], 1)])
def test_out_of_range_is_an_error(n, counts, k):
    with pytest.raises(ValueError):
        pass_at_k(n, counts, k)


@pytest.mark.parametrize(("n", "expected"), [(1, [1]), (7, [1, 2, 4]), (8, [1, 2, 4, 8])])
def test_powers_of_two(n, expected):
    assert powers_of_two(n) == expected
