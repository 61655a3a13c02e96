"""Figures of a step and of a validation."""

import json

import numpy as np
import pytest

from rlvr.incorrect import KINDS
from rlvr.training.metrics import group_counts, lengths, pass_at_k_metrics, sample_metrics, standard_error
from rlvr.training.starts import note_start
from rlvr.training.validation import validation_metrics


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


def test_the_error_of_the_accuracy_is_over_questions():
    """With as many samples of each question it is that of the mean of their solve rates; alike samples do not make it smaller."""
    rates = [0.0, 0.25, 0.5, 1.0]
    expected = np.std(rates, ddof=1) / np.sqrt(len(rates))
    for n in (4, 400):
        found = standard_error([(n, round(n * rate)) for rate in rates], "rlvr/")
        assert found == {"rlvr/accuracy_standard_error": pytest.approx(expected)}
    assert standard_error([(8, 4), (8, 4)], "") == {"accuracy_standard_error": 0.0}
    assert standard_error([(8, 4)], "") == {}, "one question says nothing about others"


def test_the_error_covers_the_accuracy_of_unequal_groups():
    """Repeated draws of questions whose samples are as unequal as those of failed rollouts: 95 % intervals hold the truth."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        rates, sizes = random.beta(1, 1, 60), random.integers(1, 9, 60)
        groups = [(int(n), int(random.binomial(n, rate))) for n, rate in zip(sizes, rates)]
        accuracy = sum(c for _, c in groups) / sum(n for n, _ in groups)
        held += abs(accuracy - 0.5) < 1.96 * standard_error(groups, "")["accuracy_standard_error"]
    assert 0.92 < held / 400 < 0.98


def test_lengths_by_correctness():
    assert lengths([2, 4, 9], [True, True, False]) == {
        "rlvr/response_length": 5.0, "rlvr/response_length_correct": 3.0, "rlvr/response_length_incorrect": 9.0,
    }  # fmt: skip
    assert "rlvr/response_length_correct" not in lengths([2, 4], [False, False])


def test_validation_says_of_how_many_samples_it_is():
    metrics = validation_metrics(["a", "a", "b", "a", "a"], ["q", "q", "x", "r", "r"], [1, 0, 1, 0, 0])
    assert {key: metrics[f"val-core/a/{key}"] for key in ("samples", "questions", "pass@1", "pass@2")} == {
        "samples": 4, "questions": 2, "pass@1": 0.25, "pass@2": 0.5,
    }  # fmt: skip
    assert metrics["val-core/a/accuracy_standard_error"] == 0.25
    assert metrics["val-core/b/samples"] == 1 and "val-core/b/accuracy_standard_error" not in metrics


def test_every_start_leaves_a_line(tmp_path):
    note_start(tmp_path, 0)
    note_start(tmp_path, 8)
    first, second = map(json.loads, (tmp_path / "starts.jsonl").read_text().splitlines())
    assert (first["resumed_from"], second["resumed_from"]) == (0, 8)
    assert first["versions"]["verl"] == "0.9.1" and first["versions"].keys() == second["versions"].keys()
