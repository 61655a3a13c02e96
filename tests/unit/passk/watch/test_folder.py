"""A run's folder: what grows is read once, what is damaged is told, what is no run is refused."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passk.watch.folder import Lines, Run, open_runs
from rlvr.records import DataError
from rlvr.sample_files import write
from tests.unit.passk.watch.made_up import add_step, make_run, sample


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3)), st.data())
def test_lines_that_arrive_in_pieces_are_read_whole_and_once(tmp_path_factory, records, data):
    path = tmp_path_factory.mktemp("lines") / "metrics.jsonl"
    text = "".join(json.dumps(one) + "\n" for one in records).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    lines = Lines(path)
    lines.refresh()
    for start, end in zip([0, *cuts], [*cuts, len(text)]):
        with path.open("ab") as file:
            file.write(text[start:end])
        lines.refresh()
    assert lines.records == records and lines.bad == []


def test_a_file_made_anew_is_read_anew(tmp_path):
    """As a resume does, which takes the undone steps out."""
    lines = Lines(tmp_path / "metrics.jsonl")
    assert not lines.refresh() and lines.records == []
    lines.path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n')
    assert lines.refresh() and not lines.refresh()
    kept = tmp_path / "kept"
    kept.write_text(
        '{"step": 1}\n{"step": 2, "longer": "than what was there at first, so that it looks as if it had grown"}\n'
    )
    os.replace(kept, lines.path)
    assert lines.refresh()
    assert [one["step"] for one in lines.records] == [1, 2]


def test_what_is_no_record_is_told_by_its_line(tmp_path):
    run = make_run(tmp_path / "run", 2)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('[1]\nhalf a li\n{"no": "step"}\n{"step": 3}\n{"step": 4, "rlvr/')
    found = Run(run, "run")
    found.refresh()
    assert [row["step"] for row in found.rows] == [1, 2, 3]
    assert found.problems == [
        "metrics.jsonl: 2 lines are no JSON objects, the first is line 3",
        "metrics.jsonl: 1 lines have no step",
    ]


def test_a_run_that_grows(tmp_path):
    run = Run(make_run(tmp_path / "run", 2), "run")
    assert run.refresh() and not run.refresh()
    assert [key for key in run.files] == [("train", 1), ("validation", 1), ("train", 2)]
    add_step(run.folder, 3)
    assert run.refresh()
    assert run.rows[-1]["step"] == 3 and ("train", 3) in run.files
    before = run.files["train", 3]
    write(run.folder, "train", 3, [sample(step=3)])
    assert run.refresh() and run.files["train", 3] != before, "a step that was done again"


@pytest.mark.parametrize("text", ["{a: [", "- a list", "a: ${unknown:resolver}\nb: {", "\x00"])
def test_a_config_that_cannot_be_read_is_told_and_the_rest_is_shown(tmp_path, text):
    run = make_run(tmp_path / "run", 1)
    (run / "config.yaml").write_text(text)
    found = Run(run, "run")
    found.refresh()
    assert found.config == {} and len(found.rows) == 1
    assert found.problems[0].startswith("config.yaml cannot be read") and "\n" not in found.problems[0]


def test_a_run_that_has_only_begun(tmp_path):
    (tmp_path / "config.yaml").write_text("trainer: {total_training_steps: 4}")
    run = Run(tmp_path, "run")
    assert run.refresh()
    assert run.rows == [] and run.files == {} and run.changed_at is None and run.problems == []


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="missing: is no folder; name the folder of a run"):
        open_runs([tmp_path / "missing"])
    with pytest.raises(DataError, match="holds no run"):
        open_runs([tmp_path])
    run = make_run(tmp_path / "run", 1)
    with pytest.raises(DataError, match="is named twice"):
        open_runs([run, tmp_path / "other" / ".." / "run"])


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [make_run(tmp_path / parent / "nsr", 1) for parent in ("a", "b")]
    assert [run.name for run in open_runs(runs)] == ["a/nsr", "b/nsr"]
    assert [run.name for run in open_runs(runs[:1])] == ["nsr"]
