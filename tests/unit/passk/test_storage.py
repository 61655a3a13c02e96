"""Storage that survives anything: kills, half-written files, other settings, a second run."""

import json
import os
import random
import subprocess
import sys

import pytest

from passk.manifest import SettingsDiffer
from passk.storage import SampleStore, StoreError, read_lines
from passk.tally import tally
from tests.bench.kill_storm import Lost, Storm
from tests.conftest import ROOT
from tests.unit.passk.fake_engine import run
from tests.unit.passk.files import complete, write

QUESTIONS, SAMPLES, KILLS = 120, 16, 40


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": f"1,{q}->{q + 1}", "answer": str(q + 1), "data_source": "rlvr/countdown"} for q in range(QUESTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ids(path) -> list[tuple[int, int]]:
    return [(one["question_id"], one["generation_id"]) for one in read_lines(path)]


EVERYTHING = [(q, g) for q in range(QUESTIONS) for g in range(SAMPLES)]


def test_kills_at_random_moments_lose_nothing():
    storm = [sys.executable, "tests/bench/kill_storm.py", "stand-in", f"--kills={KILLS}"]
    said = subprocess.run(storm, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert f"{KILLS} kills in " in said and "nothing lost, nothing twice" in said


def test_the_storm_notices_what_is_lost(dataset, tmp_path):
    run(dataset, tmp_path, SAMPLES)
    path = tmp_path / "out.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    storm = Storm(lambda folder: None, QUESTIONS, SAMPLES, 0, tmp_path)
    storm.verify(tmp_path)
    complete = storm.still_there(tmp_path, b"")
    assert complete == whole and storm.at == [1.0]
    for wrong in (lines[:-1], [*lines, lines[0]], [*lines[:-1], lines[0]], lines[SAMPLES:]):
        path.write_bytes(b"".join(wrong))
        with pytest.raises(Lost):
            storm.verify(tmp_path)
    path.write_bytes(b"".join(lines[: SAMPLES * 2 + 1]))
    with pytest.raises(Lost, match="are not what they were"):
        storm.still_there(tmp_path, complete)
    assert storm.still_there(tmp_path, b"") == b"".join(lines[: SAMPLES * 2]) and storm.cut == 1


def test_every_cut_of_the_file_is_mended(dataset, tmp_path):
    """SIGKILL in the middle of a write leaves a prefix: try many of them."""
    run(dataset, tmp_path, SAMPLES)
    path = tmp_path / "out.jsonl"
    whole = path.read_bytes()
    moments = random.Random(1)
    for cut in [0, 1, len(whole) - 1, *(moments.randrange(len(whole)) for _ in range(10))]:
        path.write_bytes(whole[:cut])
        run(dataset, tmp_path, SAMPLES)
        assert sorted(ids(path)) == EVERYTHING


def test_a_finished_run_is_left_alone(dataset, tmp_path):
    run(dataset, tmp_path, SAMPLES)
    before = [(tmp_path / name).read_bytes() for name in ("out.jsonl", "out.manifest.json")]
    found = list(read_lines(tmp_path / "out.jsonl"))
    assert (
        all((one["kind"] is None) == one["label"] for one in found) and tally(tmp_path / "out.jsonl").told.derived == 0
    )

    def no_engine(settings):
        raise AssertionError("nothing is missing")

    run(dataset, tmp_path, SAMPLES, make_engine=no_engine)
    assert [(tmp_path / name).read_bytes() for name in ("out.jsonl", "out.manifest.json")] == before


def test_resume_id_leaves_out_the_questions_before(dataset, tmp_path):
    run(dataset, tmp_path, SAMPLES, resume_id=100)
    assert {question for question, _ in ids(tmp_path / "out.jsonl")} == set(range(100, QUESTIONS))
    assert any("without any sample: question 0" in problem for problem in tally(tmp_path / "out.jsonl").problems)
    run(dataset, tmp_path, SAMPLES)
    assert sorted(ids(tmp_path / "out.jsonl")) == EVERYTHING


@pytest.mark.parametrize(
    "changes, message", [({"seed": 1}, "seed: stored 0, now 1"), ({"dtype": "float32"}, "dtype: stored 'auto'")]
)
def test_other_settings_are_refused(dataset, tmp_path, changes, message):
    run(dataset, tmp_path, SAMPLES)
    before = (tmp_path / "out.jsonl").read_bytes()
    with pytest.raises(SettingsDiffer, match=message):
        run(dataset, tmp_path, SAMPLES, **changes)
    with pytest.raises(SettingsDiffer, match="num_generation: stored 16, now 4"):
        run(dataset, tmp_path, 4)
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_samples_without_a_manifest_are_refused(dataset, tmp_path):
    write(tmp_path / "out.jsonl", complete([[True] * SAMPLES]))
    with pytest.raises(SettingsDiffer, match="has no manifest"):
        run(dataset, tmp_path, SAMPLES)


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = complete([[True, False], [False, True]])
    for damaged, message in [
        ([lines[0], lines[2], lines[3]], "line 2: question 0 ends after 1 of 2 samples"),
        ([*lines, lines[0]], "line 5: question 0, generation 0 is out of place"),
        ([lines[1], lines[0]], "line 1: question 0, generation 1 is out of place"),
        ([{"question_id": 0}, *lines], "line 1: damaged"),
    ]:
        before = write(path, damaged).read_bytes()
        with pytest.raises(StoreError, match=message):
            SampleStore(path, 2)
        assert path.read_bytes() == before


def test_a_second_run_is_refused(tmp_path):
    store = SampleStore(tmp_path / "a.jsonl", 1)
    with pytest.raises(StoreError, match="another run is writing it"):
        SampleStore(tmp_path / "a.jsonl", 1)
    store.close()
    SampleStore(tmp_path / "a.jsonl", 1).close()


def test_a_question_is_stored_once_and_whole(tmp_path):
    store = SampleStore(tmp_path / "a.jsonl", 2)
    lines = complete([[True, False]])
    store.append(lines)
    for bad in (lines, complete([[True, True], [True]])[2:]):
        with pytest.raises(StoreError, match="stored already or has"):
            store.append(bad)
    store.close()


def test_an_error_of_the_grader_stops_the_run(dataset, tmp_path, monkeypatch):
    from passk import grade

    def broken(*_):
        raise RuntimeError("the grader broke")

    monkeypatch.setattr(grade, "_grade_with_rlvr", broken)
    with pytest.raises(RuntimeError, match="the grader broke"):
        run(dataset, tmp_path, SAMPLES)
    assert os.path.getsize(tmp_path / "out.jsonl") == 0
