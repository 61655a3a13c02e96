"""Counts of a step."""

import pytest

from rlvr.incorrect import KINDS
from rlvr.training.metrics import group_counts, pass_at_k_metrics, sample_metrics


def test_counts_of_a_step():
    questions = ["a", "a", "b", "b", "c", "c"]
    correct = [True, True, True, False, False, False]
    kept = [not right for right in correct]
    kinds = [None, None, None, "wrong", "wrong", "truncated"]
    metrics = sample_metrics(questions, correct, kept, effective=kept, kinds=kinds)
    assert {kind: metrics[f"rlvr/incorrect_{kind}"] for kind in KINDS} == {
        "wrong": 2, "no_answer": 0, "truncated": 1, "unreadable": 0, "grader_failed": 0,
    }  # fmt: skip
    assert metrics["rlvr/correct_count"] == 3
    assert metrics["rlvr/incorrect_count"] == 3
    assert metrics["rlvr/kept_count"] == 3
    assert metrics["rlvr/effective_examples"] == 3
    assert metrics["rlvr/fully_solved"] == 1
    assert metrics["rlvr/fully_unsolved"] == 1
    assert metrics["rlvr/solved_at_least_once"] == 2
    assert metrics["rlvr/accuracy"] == 0.5
    assert metrics["rlvr/pass@1"] == pytest.approx(0.5)
    assert metrics["rlvr/pass@2"] == pytest.approx(2 / 3)


def test_questions_may_come_in_any_order():
    assert group_counts(["a", "b", "a"], [True, False, False]) == [(2, 1), (1, 0)]


def test_no_pass_at_k_over_unequal_sample_counts():
    assert pass_at_k_metrics([(2, 1), (3, 1)]) == {}
