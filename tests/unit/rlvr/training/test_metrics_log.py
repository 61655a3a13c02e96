"""metrics.jsonl survives resumes and kills."""

import json

import numpy as np

from rlvr.training.metrics_log import MetricsLog


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_a_new_run_starts_a_new_file(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    MetricsLog(path, resumed_from=0).append(1, {"a": 1})
    MetricsLog(path, resumed_from=0).append(1, {"a": 2})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1, "a": 2.0}]


def test_a_resumed_run_keeps_what_was_checkpointed_and_forgets_what_was_undone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resumed_from=0)
    for step in (0, 1, 2, 3):
        log.append(step, {})
    with path.open("a") as file:
        file.write('{"step": 4, "los')  # killed while writing
    MetricsLog(path, resumed_from=2).append(3, {})
    assert steps(path) == [0, 1, 2, 3]


def test_only_numbers_are_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path, resumed_from=0).append(1, {"a": np.float32(0.5), "b": "text", "c": np.arange(3), "d": True})
    assert json.loads(path.read_text()) == {"step": 1, "a": 0.5, "d": 1.0}


def test_a_count_goes_on_after_a_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resumed_from=0)
    assert log.last("rlvr/skipped_steps") is None
    for step in (1, 2, 3):
        log.append(step, {"rlvr/skipped_steps": step - 1})
    log.append(4, {"val-core/entropy": 1.0})
    assert log.last("rlvr/skipped_steps") == 2
    assert MetricsLog(path, resumed_from=2).last("rlvr/skipped_steps") == 1


def test_a_run_killed_between_a_checkpoint_and_the_line_of_its_step_has_it_after_the_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resumed_from=0)
    log.append(1, {"a": 1})
    log.before_checkpoint(2, {"a": 2})
    resumed = MetricsLog(path, resumed_from=2)
    assert resumed.recovered == 2
    resumed.complete({"val-core/b": 0.5})
    resumed.append(3, {"a": 3})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "a": 1.0},
        {"step": 2, "a": 2.0, "val-core/b": 0.5},
        {"step": 3, "a": 3.0},
    ]


def test_a_line_that_is_there_is_not_replaced_by_what_was_known_before(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resumed_from=0)
    log.before_checkpoint(1, {"a": 1})
    log.append(1, {"a": 1, "b": 2})
    for step in (1, 0):  # a resume, and a run that starts anew
        again = MetricsLog(path, resumed_from=step)
        again.complete({"c": 3})
        assert again.recovered is None
        assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1, "a": 1.0, "b": 2.0}] * step


def test_what_was_known_of_another_step_is_not_taken(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resumed_from=0)
    log.before_checkpoint(4, {"a": 4})
    assert MetricsLog(path, resumed_from=2).recovered is None
    assert path.is_file() is False
