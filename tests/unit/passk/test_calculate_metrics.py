"""``calculate_metrics`` as a user runs it, on good files and on every kind of bad one."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.unit.passk.files import complete, line, write

LABELS = [[False, False], [True, True], [True, False]]
GOOD = complete(LABELS)


def calculate(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "calculate_metrics"), "--file_path", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def as_json(*arguments) -> dict:
    result = calculate(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_file_of_the_papers_own_evaluation(tmp_path):
    path = write(tmp_path / "MATH-test.jsonl", [one | {"vanilla_response": "x"} for one in GOOD])
    result = calculate(path)
    assert result.returncode == 0, result.stderr
    assert "3 questions, 2 samples each, 6 in all" in result.stdout
    (file,) = as_json(path, "--majority")["files"]
    assert [file["pass_at_k"][k]["value"] for k in "12"] == pytest.approx([0.5, 2 / 3])
    assert [file["maj_at_k"][k]["value"] for k in "12"] == pytest.approx([0.5, 0.5])
    assert file["problems"] == []


def test_a_python_without_the_packages_hands_over_or_says_what_to_do(tmp_path):
    """``-S`` hides what is installed."""
    path = write(tmp_path / "a.jsonl", GOOD)
    clone = tmp_path / "clone"
    for part in ("eval/passk", "verl/rlvr"):
        shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("configs", "__pycache__"))
    shutil.copy(ROOT / "calculate_metrics", clone)
    bare = [sys.executable, "-S", str(clone / "calculate_metrics"), f"--file_path={path}"]
    alone = subprocess.run(bare, capture_output=True, text=True)
    assert alone.returncode == 1
    assert "has no package" in alone.stderr and "`make install`" in alone.stderr and "Traceback" not in alone.stderr

    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (clone / ".venv" / "bin" / "python").chmod(0o755)
    handed_over = subprocess.run(bare, capture_output=True, text=True)
    assert handed_over.stdout == calculate(path).stdout and handed_over.returncode == 0


def test_k_can_be_chosen(tmp_path):
    path = write(tmp_path / "a.jsonl", GOOD)
    assert list(as_json(path, "--k", "2")["files"][0]["pass_at_k"]) == ["2"]
    assert "pass@3 needs 3 samples" in calculate(path, "--k", "3").stderr
    assert "give numbers from 1 on" in calculate(path, "--k", "0").stderr


def test_several_files_are_compared_with_the_first(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "nsr").mkdir()
    base = write(tmp_path / "base" / "t.jsonl", GOOD)
    other = write(tmp_path / "nsr" / "t.jsonl", complete([[True, False], [True, True], [True, False]]))
    (result,) = as_json(base, other)["differences"]
    assert (result["name"], result["baseline"]) == ("nsr/t", "base/t")
    assert result["pass_at_k"]["1"]["value"] == pytest.approx(1 / 6)
    assert "paired by question" in calculate(base, other).stdout


BAD = {
    "missing generation": (GOOD[:-1], "question 2 misses generation 1 (1 of 2)", 2),
    "unequal counts": (GOOD[:-1], "of 3 questions 1 have 1, 2 have 2", 2),
    "a question that is missing": (GOOD[:2] + GOOD[4:], "1 questions without any sample: question 1", 2),
    "duplicate": ([*GOOD, GOOD[0]], "question 0, generation 0", 3),
    "duplicate with another label": ([*GOOD, GOOD[0] | {"label": True}], "generation 0 with another label", 2),
    "null label": ([*GOOD[:-1], line(2, 1, None)], "1 null labels: question 2, generation 1", 2),
    "label that is no label": (
        [*GOOD[:-1], line(2, 1, "yes")],
        "line 6 is not a sample: label 'yes' is neither true, false nor null",
        2,
    ),
    "no label": (
        [*GOOD[:-1], {"question_id": 2, "generation_id": 1}],
        "line 6 is not a sample: misses label (it has question_id, generation_id)",
        2,
    ),
    "absurd generation": ([*GOOD, line(2, 10**15, True)], "line 7 is not a sample: Expected `int` <= 999999", 3),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_and_can_be_read_in_part(tmp_path, kind):
    lines, message, complete_questions = BAD[kind]
    path = write(tmp_path / "a.jsonl", lines)
    result = calculate(path)
    assert result.returncode == 1
    assert message in result.stderr and str(path) in result.stderr and "--allow-incomplete" in result.stderr
    assert result.stdout == ""
    allowed = calculate(path, "--allow-incomplete")
    assert allowed.returncode == 0, allowed.stderr
    assert message in allowed.stdout
    (file,) = as_json(path, "--allow-incomplete")["files"]
    assert file["pass_at_k"]["2"]["questions"] == complete_questions


def test_a_truncated_last_line(tmp_path):
    path = write(tmp_path / "a.jsonl", GOOD)
    path.write_bytes(path.read_bytes()[:-40])
    assert "line 6, the last, is truncated" in calculate(path).stderr
    (file,) = as_json(path, "--allow-incomplete")["files"]
    assert file["samples"] == 5


def test_garbage_and_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff{]\n{]\n")
    result = calculate(path, "--allow-incomplete")
    assert (result.returncode, "no question has a usable sample" in result.stderr) == (1, True)
    for content, said in (
        (b"", "is empty"),
        (b"\x00\xff{]\n", "NUL bytes"),
        (b"[1]\n", "is no sample"),
        (b"\x1f\x8b", "cut off"),
    ):
        path.write_bytes(content)
        result = calculate(path)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert said in result.stderr
    assert "no such file" in calculate(tmp_path / "b.jsonl").stderr


def test_questions_that_the_manifest_expects(tmp_path):
    path = write(tmp_path / "a.jsonl", GOOD)
    manifest = {"settings": {"num_generation": 2}, "questions": 5, "starts": []}
    (tmp_path / "a.manifest.json").write_text(json.dumps(manifest))
    assert "2 questions without any sample: question 3; question 4" in calculate(path).stderr


def test_only_the_graders_own_failures_are_counted_as_such(tmp_path):
    lines = complete([[True, False, False, False]])
    lines[1]["error"] = "timeout"
    lines[2]["error"] = "error: RecursionError"
    lines[3]["error"] = "no box"  # about the response: just wrong
    (record,) = as_json(write(tmp_path / "a.jsonl", lines))["files"]
    assert (record["timeouts"], record["errors"]) == (1, 1)
    assert record["pass_at_k"]["1"]["value"] == 0.25
