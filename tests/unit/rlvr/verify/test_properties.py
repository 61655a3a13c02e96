"""What must hold for every text: an answer equals itself, order of comparison does not matter, nothing raises or hangs."""

import glob
import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.verify.extract import gold_answer
from tests.conftest import SHARED
from tests.unit.rlvr.verify.cases import DIFFERENT, EQUAL

NUMBERS = st.integers(-(10**6), 10**6)
LATEX = st.text(alphabet=st.sampled_from("0123456789xyie+-*/^_!(){}[]|,.=<> \\fracsqtpi"), max_size=60)


@pytest.fixture(scope="module")
def golds():
    files = sorted(glob.glob(str(SHARED / "data" / "*" / "*.parquet")))
    if not files:
        pytest.skip(f"{SHARED / 'data'} is not on this machine")
    found = set()
    for file in files:
        for record in pd.read_parquet(file, columns=["reward_model"]).reward_model:
            try:
                found.add(gold_answer(record["ground_truth"]))
            except ValueError:  # two solutions of MATH end in \boxed{}
                assert not record["ground_truth"]["target"]
    return sorted(found)


def test_every_gold_equals_itself(verifier, golds):
    assert [gold for gold in golds if not verifier.compare(gold, gold).correct] == []


def test_every_gold_equals_itself_in_other_typography(verifier, golds):
    """Not by comparing strings: sizes, spacing and a name in front make the strings differ."""
    for change in (
        lambda gold: gold.replace("\\frac", "\\dfrac").replace("(", "\\left(").replace(")", "\\right)"),
        lambda gold: f"$ {gold} $.",
        lambda gold: f"\\boxed{{{gold}}}",
    ):
        wrong = [gold for gold in golds if not verifier.compare(change(gold), gold).correct]
        assert wrong == []


def test_different_golds_are_rarely_equal(verifier, golds):
    """A random pair of golds is the same answer only when it is the same number in another form."""
    rng = random.Random(0)
    pairs = [(rng.choice(golds), rng.choice(golds)) for _ in range(3000)]
    same = [(a, b) for a, b in pairs if a != b and verifier.compare(a, b).correct]
    assert len(same) < 10, same


@pytest.mark.parametrize(("a", "b"), [pair for pair in EQUAL + DIFFERENT if not set("=\\") & set("".join(pair))])
def test_symmetry_without_names_and_units(verifier, a, b):
    assert verifier.compare(a, b).correct == verifier.compare(b, a).correct


@settings(max_examples=150, deadline=None)
@given(NUMBERS, NUMBERS)
def test_integers_are_exact(verifier, a, b):
    assert verifier.compare(str(a), str(b)).correct == (a == b)


@settings(max_examples=150, deadline=None)
@given(NUMBERS, st.integers(1, 999), NUMBERS, st.integers(1, 999))
def test_fractions_are_exact_and_symmetric(verifier, a, b, c, d):
    left, right = f"\\frac{{{a}}}{{{b}}}", f"{c}/{d}"
    assert verifier.compare(left, right).correct == verifier.compare(right, left).correct == (a * d == c * b)


@settings(max_examples=100, deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=6), st.randoms())
def test_lists_and_sets_have_no_order_but_tuples_do(verifier, numbers, rng):
    shuffled = rng.sample(numbers, len(numbers))
    first, second = ("; ".join(map(str, each)) for each in (numbers, shuffled))
    assert verifier.compare(first, second).correct
    assert verifier.compare(f"\\{{{first}\\}}", second).correct
    assert verifier.compare(f"({first})", f"({second})").correct == (numbers == shuffled)


@settings(max_examples=100, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_expanded_is_factored(verifier, a, b):
    factored, expanded = f"(x+({a}))(x+({b}))", f"x^2+({a + b})x+({a * b})"
    assert verifier.compare(factored, expanded).correct
    assert not verifier.compare(factored, expanded + "+1").correct


@settings(max_examples=400, deadline=None)
@given(
    st.text(max_size=120) | LATEX,
    st.sampled_from(["7", "x^2+1", "(1,2)", "\\text{Friday}", "\\{1,2\\}", "[1,\\infty)"]),
)
def test_no_text_raises_or_hangs(verifier, text, gold):
    errors = verifier.errors
    timeouts = verifier.timeouts
    verifier.compare(text, gold)
    verifier.verify(text, gold)
    assert (verifier.errors, verifier.timeouts) == (errors, timeouts)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | LATEX)
def test_every_text_equals_itself(verifier, text):
    verdict = verifier.compare(text, text) if text.strip() else None
    assert verdict is None or verdict.correct or not verifier.compare(text.strip("$ .,;{}"), "7").correct
