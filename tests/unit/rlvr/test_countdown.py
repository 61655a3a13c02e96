"""The tiny task: every legal chain that reaches the target is right, everything else is not; the split is disjoint."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.tiny.task import MAX_VALUE, chains, make_split
from rlvr.tiny.traces import Mixture, make_trace
from rlvr.verify import UnknownDataSource, verifier_for
from rlvr.verify.countdown import MAX_EXPRESSION, parse, verify_countdown

SPLIT = make_split(256, 64)


def grade(question, text):
    return verify_countdown(text, {"question": question.text, "target": str(question.target)})


@given(st.sampled_from(SPLIT.test))
def test_right_exactly_when_the_chain_reaches_the_target(question):
    for value, found in chains(question.key[0]).items():
        for chain in found:
            assert grade(question, chain.answer()).correct == (value == question.target)


@pytest.mark.parametrize(
    ("expression", "correct"),
    [
        ("((4+2)*3)-1", True),
        ("3*(2+4)-1", True),  # any expression with the right value and numbers
        ("4+2*3+1", False),  # 11
        ("(4+2)*3", False),  # a number is missing
        ("((4+2)*3)-1+0", False),  # a number too many
        ("17", False),
        ("", False),
        ("((4+2)*3)-1)", False),
        ("4 + 2", False),
        ("__import__('os').system('true')", False),
        ("9**9**9", False),
        ("(" * 1000, False),
    ],
)
def test_verdicts(expression, correct):
    ground_truth = {"question": "4,2,3,1->17", "target": "17"}
    verdict = verify_countdown(f"4+2=6\\boxed{{{expression}}}", ground_truth)
    assert verdict.correct is correct
    assert verdict.extracted == expression


def test_no_box_is_incorrect_and_says_so():
    verdict = verify_countdown("4+2=6", {"question": "4,2->6", "target": "6"})
    assert (verdict.correct, verdict.extracted, verdict.error) == (False, None, "no box")


def test_the_last_box_counts():
    ground_truth = {"question": "4,2->6", "target": "6"}
    assert verify_countdown("\\boxed{4-2}\\boxed{4+2}", ground_truth).correct
    assert not verify_countdown("\\boxed{4+2}\\boxed{4-2}", ground_truth).correct


@given(st.text(alphabet="0123456789+-*()", max_size=MAX_EXPRESSION))
def test_the_parser_agrees_with_python_arithmetic(expression):
    """On strings of this alphabet Python's own grammar is the reference, where it has no unary signs, powers or calls."""
    try:
        value, used = parse(expression)
    except ValueError:
        return
    normalised = "".join(token.lstrip("0") or "0" if token.isdecimal() else token for token in _tokens(expression))
    assert value == eval(normalised)  # a test's own string of digits and operators
    assert len(used) == sum(token.isdecimal() for token in _tokens(expression))


def _tokens(expression):
    import re

    return re.findall(r"\d+|[+\-*()]", expression)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_no_text_raises(text):
    verify_countdown(text, {"question": "4,2->6", "target": "6"})


def test_held_out_questions_are_never_trained_on():
    train, test, pretrain = ({q.key for q in part} for part in (SPLIT.train, SPLIT.test, SPLIT.pretrain))
    assert not train & test and not train & pretrain and not test & pretrain
    assert (len(train), len(test)) == (256, 64)


def test_the_split_is_deterministic():
    again = make_split(256, 64)
    assert again == SPLIT
    assert make_split(256, 64, seed=1) != SPLIT


def test_asking_for_more_questions_than_exist():
    with pytest.raises(ValueError, match="only"):
        make_split(10**6, 1)


def test_the_mixture_sets_the_accuracy_of_the_traces():
    rng = random.Random(0)
    questions = [rng.choice(SPLIT.pretrain) for _ in range(600)]

    def accuracy(mixture):
        return sum(grade(q, make_trace(q, mixture, rng)).correct for q in questions) / len(questions)

    assert accuracy(Mixture(right=1, slip=0, careless=0)) == 1
    assert accuracy(Mixture(right=0, slip=0, careless=0)) == 0
    assert accuracy(Mixture(right=1, slip=1, careless=0)) == 1  # a slip is in the steps, the box is right
    assert accuracy(Mixture(right=1, slip=0, careless=1)) == 0


def test_values_stay_in_the_vocabulary():
    for found in chains((1, 2, 6, 6)).values():
        for chain in found:
            assert all(0 <= value <= MAX_VALUE for value in chain.values())


def test_unknown_data_source_is_named():
    with pytest.raises(UnknownDataSource, match="'nobody/knows'"):
        verifier_for("nobody/knows")
