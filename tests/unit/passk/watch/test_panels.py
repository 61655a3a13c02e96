"""Curves, events and settings out of what a run leaves."""

import json
import math

import pytest

from passk.pages import json_in_html
from passk.watch import events, panels, settings
from passk.watch.folder import Run
from passk.watch.panels import PANELS
from passk.watch.state import state
from rlvr.incorrect import KINDS
from tests.unit.passk.watch.made_up import make_run

ROW = {
    "step": 1,
    "rlvr/correct_count": 30.0,
    "rlvr/incorrect_count": 10.0,
    "rlvr/kept_count": 10.0,
    "rlvr/accuracy_standard_error": 0.05,
    "rlvr/pass@1": 0.75,
    "rlvr/pass@2": 0.9,
    "rlvr/questions": 5.0,
    "timing_s/step": 9.0,
    "timing_s/gen": 4.0,
    "timing_s/update_actor": 3.0,
    "val-core/math/algebra/pass@1": 0.5,
    "val-core/math/algebra/pass@8": 0.8,
    "val-core/math/algebra/samples": 64.0,
    "val-core/math/algebra/questions": 8.0,
}


def line(panel, label):
    return next(one for one in panel.lines if one.label == label)


def test_shares_have_their_counts_denominators_and_intervals():
    training = line(panels.accuracy([ROW]), "training")
    assert (training.values, training.count, training.of, training.what) == ([0.75], [30], [40], "samples")
    assert training.spread == [pytest.approx(0.098)]
    validation = line(panels.accuracy([ROW]), "validation math/algebra")
    assert (validation.values, validation.of) == ([0.5], [64])
    at_k = panels.pass_at_k([ROW])
    assert [(one.label, one.values, one.of) for one in at_k.lines] == [
        ("pass@1", [0.75], [5]), ("pass@2", [0.9], [5]), ("validation math/algebra pass@8", [0.8], [8]),
    ]  # fmt: skip


def test_kinds_and_correct_samples_are_all_samples(tmp_path):
    run = Run(make_run(tmp_path / "run", 3), "run")
    run.refresh()
    panel = panels.kinds(run.rows)
    assert [one.label for one in panel.lines] == ["correct", *(kind.replace("_", " ") for kind in KINDS)]
    assert [sum(values) for values in zip(*(one.values for one in panel.lines))] == pytest.approx([1.0] * 3)
    assert panel.missing == []


def test_phases_and_what_is_beside_them_are_the_step():
    panel = panels.seconds([ROW | {"timing_s/testing": 2.5, "timing_s/samples": 0.5}, {"step": 2}])
    assert {one.label: one.values for one in panel.lines} == {
        "gen": [4, None],
        "update actor": [3, None],
        "other": [2, None],
        "validation": [2.5, None],
        "samples": [0.5, None],
    }
    assert panels.hours([ROW, {"step": 2}, ROW | {"timing_s/testing": 1, "timing_s/samples": 0.5}]) == pytest.approx(
        [9 / 3600, 9 / 3600, 19.5 / 3600]
    )


@pytest.mark.parametrize("name", PANELS)
def test_what_a_run_does_not_log_is_said(name):
    *_, draw = PANELS[name]
    panel = draw([{"step": 1}])
    assert panel.lines == [] and panel.missing
    assert all(text.startswith("not in metrics.jsonl: ") for text in panel.missing)


@pytest.mark.parametrize("name", PANELS)
def test_a_whole_run_lacks_nothing(name, tmp_path):
    run = Run(make_run(tmp_path / "run", 4), "run")
    run.refresh()
    *_, draw = PANELS[name]
    panel = draw(run.rows)
    assert panel.lines and panel.missing == []
    assert all(len(one.values) == 4 for one in panel.lines)


def test_a_figure_that_is_no_number_is_a_gap_and_an_event():
    rows = [
        {"step": 1, "actor/grad_norm": 0.5},
        {"step": 2, "actor/grad_norm": math.nan},
        {"step": 3, "actor/grad_norm": math.inf},
    ]
    assert line(panels.gradient_norm(rows), "before clipping").values == [0.5, None, None]
    assert [(one.step, one.kind, one.text) for one in events.events(rows, [], [])] == [
        (2, "not a number", "actor/grad_norm: nan"), (3, "not a number", "actor/grad_norm: inf"),
    ]  # fmt: skip


def test_what_stands_on_the_time_axis():
    rows = [
        ROW | {"rlvr/skipped_steps": 0.0},
        ROW | {"step": 2, "rlvr/skipped_steps": 1.0, "rlvr/grader_timeouts": 2.0, "rlvr/grader_errors": 1.0},
        ROW
        | {"step": 3, "rlvr/skipped_steps": 1.0, "rlvr/sample_files_lost": 1.0, "rlvr/restarted_rollout_servers": 2.0},
    ]
    starts = [{"resumed_from": 0, "time": "one"}, {"resumed_from": 2, "time": "two"}, {"resumed_from": "no number"}]
    watchdog = [{"step": 3, "time": "then", "lines": ["no progress for 60 s", "  waits"]}, {"lines": "no list"}]
    found = events.events(rows, starts, watchdog)
    assert [(one.step, one.kind) for one in found] == [
        (0, "start"), (2, "skipped"), (2, "grader"), (2, "start"), (3, "lost"), (3, "died"), (3, "watchdog"),
    ]  # fmt: skip
    texts = {one.kind: one.text for one in found}
    assert texts["grader"] == "the grader failed on 3 of 40 answers (timeouts: 2, errors: 1)"
    assert texts["watchdog"] == "then: no progress for 60 s · waits"
    assert set(texts) <= set(events.MARKS) and len(set(events.MARKS.values())) == len(events.MARKS)


def test_a_resume_that_undid_a_skipped_step_may_skip_again():
    rows = [
        ROW | {"step": step, "rlvr/skipped_steps": count} for step, count in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 1.0))
    ]
    assert [one.step for one in events.events(rows, [], [])] == [2, 4]


def test_settings_and_in_what_runs_differ():
    configs = [
        settings.flat(
            {"algorithm": {"advantage": name, "method": {"k": None}}, "trainer": {"experiment_name": name}, **more}
        )
        for name, more in (("negative", {}), ("weighted", {"data": {"train_files": ["a", "b"]}}))
    ]
    assert configs[1]["algorithm.method.k"] == "null" and configs[1]["data.train_files"] == "a, b"
    assert settings.main(configs[1]) == {"method": "weighted", "training data": "a, b"}
    assert settings.differences(configs) == {
        "algorithm.advantage": ["negative", "weighted"], "data.train_files": ["not set", "a, b"],
    }  # fmt: skip
    assert settings.differences(configs[:1]) == {}


def test_the_state_is_json_that_no_tag_ends(tmp_path):
    run = Run(make_run(tmp_path / "run", 3), "</script>")
    run.refresh()
    text = json_in_html(state([run]))
    assert "<" not in text
    entry = json.loads(text)["runs"][0]
    assert entry["name"] == "</script>" and entry["steps"] == [1, 2, 3] and entry["total"] == 3
    assert entry["versions"] == {"verl": "0.9.1", "python": "3.11.2"}
    assert [(one["split"], one["step"]) for one in entry["samples"]][:2] == [("train", 1), ("validation", 1)]
