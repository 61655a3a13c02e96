"""Grading stored responses again, with the installed verifier and with another."""

import json
from pathlib import Path

import pytest

from passk.grade import fields_of, installed_grader
from passk.regrade import regrade
from passk.storage import read_lines
from rlvr.verify import Verdict
from rlvr.verify.gold import gold_text
from tests.unit.passk.files import complete, write

GRADER = """
from rlvr.verify import Verdict
__version__ = "2"

def strict(data_source, gold, responses):
    return [Verdict("41" in one, extracted=gold["target"], error="timeout") for one in responses]
"""


@pytest.fixture
def stored(tmp_path) -> Path:
    lines = complete([[True, False, None], [True, True, True]])
    return write(tmp_path / "old.jsonl", [one | {"grader": {"name": "old"}} for one in lines])


def test_another_grader_and_the_disagreements(stored, tmp_path, capsys):
    (tmp_path / "my_grader.py").write_text(GRADER)
    (tmp_path / "old.manifest.json").write_text(
        json.dumps({"settings": {"num_generation": 3, "grader": 0}, "questions": 2})
    )
    output = tmp_path / "new.jsonl"
    regrade(str(stored), str(output), grader=f"{tmp_path}/my_grader.py:strict", data_source="any")
    new = list(read_lines(output))
    assert [one["label"] for one in new] == [False, True, True, False, False, False]
    assert new[0]["grader"] == {"name": f"{tmp_path}/my_grader.py:strict", "version": "2", "policies": {}}
    assert new[0]["error"] == "timeout" and new[0]["response"] == next(read_lines(stored))["response"]
    report = json.loads((tmp_path / "new.jsonl.disagreements.json").read_text())
    assert report["changes"] == {"right to wrong": 4, "wrong to right": 1, "null to right": 1}
    assert (report["samples"], report["changed"]) == (6, 6)
    assert report["questions"] == {"0": 3, "1": 3} and report["graders_before"] == [
        {"grader": {"name": "old"}, "samples": 6}
    ]
    assert report["examples"][0]["pred_answer_before"] == "42"
    assert json.loads((tmp_path / "new.manifest.json").read_text())["settings"]["grader"]["version"] == "2"
    assert "6 of 6 labels changed" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="exists already"):
        regrade(str(stored), str(output))


def test_the_installed_grader_on_the_tiny_task(tmp_path):
    line = {
        "question_id": 0,
        "generation_id": 0,
        "question": "1,2->3",
        "answer": "3",
        "response": "\\boxed{1+2=3}",
        "label": False,
    }
    stored = write(tmp_path / "old.jsonl", [line | {"data_source": "rlvr/countdown"}])
    regrade(str(stored), str(tmp_path / "new.jsonl"))
    (new,) = read_lines(tmp_path / "new.jsonl")
    assert (new["label"], new["pred_answer"], new["grader"]) == (True, "1+2=3", installed_grader().stamp)


def test_what_cannot_be_graded_is_said(stored, tmp_path):
    with pytest.raises(SystemExit, match="give --data_source"):
        regrade(str(stored), str(tmp_path / "new.jsonl"))
    with pytest.raises(SystemExit, match="--grader nothing:at_all"):
        regrade(str(stored), str(tmp_path / "new.jsonl"), grader="nothing:at_all")
    assert not (tmp_path / "new.jsonl").exists()


def test_gold_answers():
    assert gold_text({"target": "5"}) == "5"
    assert gold_text({"solution": "first \\boxed{1}, so \\boxed{\\frac{1}{2}} units"}) == "\\frac{1}{2}"
    assert gold_text({"solution": "so \\boxed 5"}) == "5"


def test_a_verdict_is_stored_whole():
    found = fields_of(Verdict(False, "x", "timeout"), "stop")
    assert found == {"pred_answer": "x", "label": False, "kind": "grader_failed", "error": "timeout"}
    assert fields_of(Verdict(False, "x"), "length")["kind"] == "truncated"
    assert fields_of(Verdict(True, "x"), "length")["kind"] is None
