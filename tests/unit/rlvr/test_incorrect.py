"""What an incorrect sample is."""

import pytest

from rlvr.incorrect import KINDS, LEARNED, counts, incorrect_kinds, may_be_learned_from
from rlvr.verify.verdict import Kind


def test_kinds():
    correct = [True, False, False, False, False, False, False, False, True]
    said = ["right", None, "wrong", "no_answer", "unreadable", "grader_failed", "wrong", "grader_failed", None]
    truncated = [True, False, False, False, False, False, True, True, False]
    kinds = incorrect_kinds(correct, said, truncated)
    assert kinds == [
        None, "wrong", "wrong", "no_answer", "unreadable", "grader_failed", "truncated", "grader_failed", None,
    ]  # fmt: skip
    assert counts(kinds) == {"wrong": 2, "no_answer": 1, "truncated": 1, "unreadable": 1, "grader_failed": 2}
    assert may_be_learned_from(kinds, LEARNED) == [True, True, True, True, True, False, True, False, True]
    assert may_be_learned_from(kinds, ["wrong"]) == [True, True, True] + [False] * 5 + [True]


def test_what_a_reward_function_says_must_be_a_kind():
    with pytest.raises(ValueError, match="kind='odd'"):
        incorrect_kinds([False], ["odd"], [False])


def test_the_verifiers_words_are_ours():
    assert {kind.value for kind in Kind} - {"right"} == set(KINDS) - {"truncated"}
