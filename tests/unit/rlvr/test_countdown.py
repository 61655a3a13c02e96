"""The tiny task: every legal chain that reaches the target is right, everything else is not; the split is disjoint."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.tiny import task
from rlvr.tiny.__main__ import frame
from rlvr.tiny.task import MAX_VALUE, SIZES, chains, make_split
from rlvr.tiny.traces import Mixture, make_trace
from rlvr.verify import UnknownDataSource, verifier_for
from rlvr.verify.countdown import MAX_CHAIN, parse, verify_countdown

SPLIT = make_split(256, 64)


def grade(question, text):
    return verify_countdown(text, {"question": question.text, "target": str(question.target)})


@given(st.sampled_from(SPLIT.test))
def test_right_exactly_when_the_chain_reaches_the_target(question):
    for value, found in chains(question.numbers).items():
        for chain in found:
            assert grade(question, f"\\boxed{{{chain.text()}}}").correct == (value == question.target)


@pytest.mark.parametrize(
    ("chain", "correct"),
    [
        ("4+2=6*3=18-1=17", True),
        ("4*2=8*3=24-1=23", False),  # another target
        ("4+2=6*3=18-1=16", False),  # a step is calculated wrong, and 16 is not the target
        ("4+2=6*3=19-1=17", False),  # a step is calculated wrong
        ("2+4=6*3=18-1=17", False),  # another order
        ("4+2=6*3=18", False),  # a number is missing
        ("4+2=6*3=18-1=17+0=17", False),  # a number too many
        ("4+2=6*3=18-1", False),  # the last value is missing
        ("((4+2)*3)-1", False),
        ("17", False),
        ("", False),
        ("4 + 2 = 6", False),
        ("4+2=6*3=18-1=17=17", False),
        ("__import__('os').system('true')", False),
        ("9**9**9=1", False),
        ("1+" * 1000, False),
        ("٤+2=6*3=18-1=17", False),  # only ASCII digits are digits
    ],
)
def test_verdicts(chain, correct):
    verdict = verify_countdown(f"so \\boxed{{{chain}}}", {"question": "4,2,3,1->17", "target": "17"})
    assert verdict.correct is correct
    assert verdict.extracted == chain


def test_no_box_is_incorrect_and_says_so():
    verdict = verify_countdown("4+2=6", {"question": "4,2->6", "target": "6"})
    assert (verdict.correct, verdict.extracted, verdict.error) == (False, None, "no box")


def test_the_last_box_counts():
    ground_truth = {"question": "4,2->6", "target": "6"}
    assert verify_countdown("\\boxed{4-2=2}\\boxed{4+2=6}", ground_truth).correct
    assert not verify_countdown("\\boxed{4+2=6}\\boxed{4-2=2}", ground_truth).correct


@given(st.integers(0, 99), st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 9)), min_size=1, max_size=6))
def test_the_parser_calculates(first, steps):
    text, value = str(first), first
    for operator, number in steps:
        value = {"+": value + number, "-": value - number, "*": value * number}[operator]
        text += f"{operator}{number}={value}"
    if "=-" in text or len(text) > MAX_CHAIN:  # negative values cannot be written
        with pytest.raises(ValueError):
            parse(text)
    else:
        assert parse(text) == (value, [first, *(number for _, number in steps)])


@given(st.text(alphabet="0123456789+-*=", max_size=20))
def test_what_is_no_chain_is_refused(text):
    try:
        value, used = parse(text)
    except ValueError:
        return
    assert text.count("=") == len(used) - 1 and int(text.rsplit("=", 1)[1]) == value


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_no_text_raises(text):
    verify_countdown(text, {"question": "4,2->6", "target": "6"})


def test_held_out_questions_are_never_trained_on():
    parts = [SPLIT.train, SPLIT.test, SPLIT.tune, SPLIT.pretrain]
    sets = [set(part) for part in parts]
    assert [len(part) for part in parts[:3]] == [256, 64, 64]
    assert all(len(one) == len(part) for one, part in zip(sets, parts)), "no question is there twice"
    for i, one in enumerate(sets):
        assert not any(one & other for other in sets[i + 1 :])


def test_every_part_has_every_size_in_equal_shares():
    for part, count in ((SPLIT.train, 256), (SPLIT.test, 64), (SPLIT.tune, 64)):
        assert Counter(len(q.numbers) for q in part) == dict.fromkeys(SIZES, count // len(SIZES))


def test_what_is_written_is_what_was_split(tmp_path):
    """The parquet files of train and test hold disjoint questions, in the layout that the launchers read."""
    files = {name: frame(part, name) for name, part in (("train", SPLIT.train), ("test", SPLIT.test))}
    asked = {
        name: {row["question"] for row in table["reward_model"].map(lambda r: r["ground_truth"])}
        for name, table in files.items()
    }
    assert not asked["train"] & asked["test"]
    assert asked["test"] == {question.text for question in SPLIT.test}


def test_the_split_is_deterministic(monkeypatch):
    monkeypatch.setattr(task, "TUPLES_PER_SIZE", 300)
    split = make_split(256, 64)
    assert make_split(256, 64) == split
    assert make_split(256, 64, seed=1) != split


def test_asking_for_more_questions_than_exist():
    with pytest.raises(ValueError, match="only"):
        make_split(10**6, 1)


def test_the_mixture_sets_the_accuracy_of_the_traces():
    rng = random.Random(0)
    questions = [rng.choice(SPLIT.pretrain) for _ in range(600)]

    def accuracy(mixture):
        return sum(grade(q, make_trace(q, mixture, rng)).correct for q in questions) / len(questions)

    assert accuracy(Mixture(right=1, unboxed=0, careless=0)) == 1
    assert accuracy(Mixture(right=0, unboxed=0, careless=0)) < 0.3  # a chain that ends anywhere is now and then right
    assert accuracy(Mixture(right=1, unboxed=0, careless=1)) == 0
    assert accuracy(Mixture(right=1, unboxed=1, careless=0)) == 0
    assert accuracy(Mixture(right=1, unboxed=0.4, careless=0)) == pytest.approx(0.6, abs=0.1)


def test_values_stay_in_the_vocabulary():
    for found in chains((1, 9, 2, 6)).values():
        for chain in found:
            assert all(0 <= value <= MAX_VALUE for value in chain.values())


def test_unknown_data_source_is_named():
    with pytest.raises(UnknownDataSource, match="'nobody/knows'"):
        verifier_for("nobody/knows")
