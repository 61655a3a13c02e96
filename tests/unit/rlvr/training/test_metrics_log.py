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
