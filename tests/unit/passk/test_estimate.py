"""The estimators against exact rational arithmetic."""

from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passk.estimate import difference, estimate
from passk.majority import majority_at_k
from passk.tally import QuestionTally, Tally, tally
from tests.unit.passk.files import complete, line, write


def counted(pairs, path) -> Tally:
    """A tally of questions with (n, c)."""
    questions = {key: QuestionTally(text=0, seen=(1 << n) - 1, right=(1 << c) - 1) for key, (n, c) in enumerate(pairs)}
    return Tally(path, questions)


@st.composite
def questions(draw):
    n = draw(st.one_of(st.integers(1, 40), st.just(256), st.just(1000)))
    counts = draw(st.lists(st.integers(0, n), min_size=1, max_size=6))
    return n, counts, draw(st.integers(1, n))


@given(questions())
@settings(max_examples=60, deadline=None)
def test_pass_at_k_is_exact(tmp_path_factory, case):
    n, counts, k = case
    exact = sum(1 - Fraction(comb(n - c, k), comb(n, k)) for c in counts) / len(counts)
    got = estimate("m", counted([(n, c) for c in counts], None), [k], majority=False).pass_at_k[k]
    assert abs(got.value - float(exact)) < 1e-12
    assert got.low - 1e-12 <= got.value <= got.high + 1e-12


def by_enumeration(right: int, wrong: tuple[int, ...], abstained: int, k: int) -> Fraction:
    answers = [0] * right + [i + 1 for i, m in enumerate(wrong) for _ in range(m)] + [-1] * abstained
    total, ways = Fraction(0), 0
    for drawn in combinations(answers, k):
        ways += 1
        votes = {answer: drawn.count(answer) for answer in drawn if answer >= 0}
        best = max(votes.values(), default=0)
        winners = [answer for answer, count in votes.items() if count == best]
        total += Fraction(1, len(winners)) if 0 in winners else 0
    return total / ways


@given(st.integers(0, 6), st.lists(st.integers(1, 4), max_size=5).map(tuple), st.integers(0, 2), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_majority_is_exact(right, wrong, abstained, k):
    n = right + sum(wrong) + abstained
    if n < 1 or n > 12:
        return
    k = min(k, n)
    assert majority_at_k(right, wrong, abstained, (k,))[0] == pytest.approx(
        float(by_enumeration(right, wrong, abstained, k)), abs=1e-12
    )


def test_majority_of_everything_is_the_most_frequent_answer():
    assert majority_at_k(100, (99, 57), 0, (1, 256)).tolist() == pytest.approx([100 / 256, 1.0])
    assert majority_at_k(100, (100, 56), 0, (256,))[0] == pytest.approx(0.5)
    assert majority_at_k(0, (200,), 56, (1, 256)).tolist() == [0.0, 0.0]
    assert majority_at_k(1, (), 255, (1, 256)).tolist() == pytest.approx([1 / 256, 1.0])


def test_majority_agrees_with_draws():
    right, wrong, abstained, ks = 90, (80, 30, 20, *[1] * 16), 20, (4, 16, 64)
    answers = np.repeat(np.arange(21), [right, *wrong, abstained])
    generator = np.random.default_rng(0)
    for k, exact in zip(ks, majority_at_k(right, wrong, abstained, ks)):
        wins = 0.0
        for _ in range(4000):
            votes = np.bincount(generator.choice(answers, k, replace=False), minlength=21)[:20]
            wins += (votes[0] == votes.max()) / (votes == votes.max()).sum()
        assert exact == pytest.approx(wins / 4000, abs=0.03)


def test_shares_and_accuracy(tmp_path):
    labels = [[False] * 4, [True] * 4, [True, False, False, False]]
    result = estimate("m", tally(write(tmp_path / "a.jsonl", complete(labels))), [1, 2, 4], majority=True)
    assert (result.questions, result.samples, result.samples_per_question) == (3, 12, (4, 4))
    values = [result.accuracy, result.solved_at_least_once, result.solved_never, result.solved_always]
    assert [one.value for one in values] == pytest.approx([5 / 12, 2 / 3, 1 / 3, 1 / 3])
    assert [one.value for one in result.pass_at_k.values()] == pytest.approx([5 / 12, (1 + 1 / 2) / 3, 2 / 3])
    assert [one.value for one in result.maj_at_k.values()] == pytest.approx([5 / 12, (1 + 1 / 4) / 3, 1 / 3])


def test_questions_without_enough_samples_are_counted_out(tmp_path):
    result = estimate("m", counted([(4, 2), (2, 0), (0, 0)], tmp_path), [1, 4], majority=False)
    assert result.pass_at_k[1].questions == 2
    assert (result.pass_at_k[4].value, result.pass_at_k[4].questions) == (1.0, 1)


def test_the_interval_covers_the_truth(tmp_path):
    """95 % intervals of the mean over questions hold the population's mean in about 95 % of the draws."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        counts = generator.binomial(16, generator.beta(0.6, 0.4, size=80))
        one = estimate("m", counted([(16, int(c)) for c in counts], tmp_path), [1], majority=False).pass_at_k[1]
        held += one.low <= 0.6 <= one.high
    assert held >= 52


def test_a_paired_difference_is_narrower_than_its_parts(tmp_path):
    base = [(8, c) for c in range(9)] * 10
    better = [(8, min(8, c + 1)) for _, c in base]
    result = difference("b", counted(better, tmp_path), "a", counted(base, tmp_path), [1])
    alone = estimate("a", counted(base, tmp_path), [1], majority=False).pass_at_k[1]
    paired = result.pass_at_k[1]
    assert paired.value == pytest.approx(8 / 9 / 8)
    assert paired.low > 0 and paired.high - paired.low < (alone.high - alone.low) / 5


def test_a_difference_needs_the_same_questions(tmp_path):
    one = tally(write(tmp_path / "a.jsonl", [line(0, 0, True)]))
    other = tally(write(tmp_path / "b.jsonl", [line(0, 0, True, question="another")]))
    with pytest.raises(ValueError, match="another question"):
        difference("b", other, "a", one, [1])
    with pytest.raises(ValueError, match="no question in common"):
        difference("c", tally(write(tmp_path / "c.jsonl", [line(9, 0, True)])), "a", one, [1])


def test_too_large_a_k_is_named(tmp_path):
    with pytest.raises(ValueError, match="pass@8 needs 8 samples of a question, the most is 4"):
        estimate("m", counted([(4, 1)], tmp_path), [8], majority=False)


def test_all_small_majorities():
    """Every split of 7 samples over a right answer, two wrong ones and none, at every k."""
    for right, first, second in product(range(8), repeat=3):
        abstained = 7 - right - first - second
        if abstained >= 0 and first >= second:
            wrong = tuple(m for m in (first, second) if m)
            got = majority_at_k(right, wrong, abstained, tuple(range(1, 8)))
            assert got.tolist() == pytest.approx(
                [float(by_enumeration(right, wrong, abstained, k)) for k in range(1, 8)]
            )
