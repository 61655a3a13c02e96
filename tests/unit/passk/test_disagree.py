"""Graders side by side on stored samples: counts, kinds, pass@k, and what the command writes."""

import json

import pytest

from passk import disagree
from passk.graders import grader_named
from tests.unit.passk.files import write

RESPONSES = {
    "\\frac{1}{2}": ["\\boxed{0.5}", "\\boxed{\\frac{1}{2}}", "nothing"],
    "42": ["\\boxed{42}", "\\boxed{42 \\text{ (or 43)}}", "\\boxed{7}"],
}


@pytest.fixture
def samples(tmp_path):
    rows = [
        {"question_id": q, "generation_id": g, "question": f"q{q}", "answer": gold, "response": text, "label": g < 2}
        for q, (gold, texts) in enumerate(RESPONSES.items())
        for g, text in enumerate(texts)
    ]
    return write(tmp_path / "a.jsonl", [row | {"data_source": "math_dapo"} for row in rows])


def test_where_they_differ_and_what_it_does_to_pass_at_k(samples, tmp_path, capsys):
    output = tmp_path / "out" / "agreement"
    assert disagree.command([str(samples), "--graders", "rlvr,exact,stored", "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert text == output.with_suffix(".md").read_text()
    data = json.loads(output.with_suffix(".json").read_text())
    pairs = {tuple(pair["graders"]): pair for pair in data["pairs"]}
    exact = pairs["rlvr", "exact"]
    assert (exact["samples"], exact["agree"]) == (6, 5)
    assert exact["differ_by_kind"] == [{"rlvr": "right", "exact": "wrong", "samples": 1}]
    assert exact["examples"][0]["exact"]["extracted"] == "0.5"
    stored = pairs["rlvr", "stored"]
    assert stored["differ_by_kind"] == [{"rlvr": "wrong", "stored": "right", "samples": 1}]
    assert "42 \\text{ (or 43)}" in stored["examples"][0]["rlvr"]["extracted"]
    accuracy = {grader["name"]: grader["accuracy"]["value"] for grader in data["graders"]}
    assert accuracy == pytest.approx({"rlvr": 1 / 2, "exact": 1 / 3, "stored": 2 / 3})
    assert [one["pass_at_k"]["1"]["value"] for one in data["differences"]] == pytest.approx([-1 / 6, 1 / 6])
    assert "rlvr and exact agree on 83.33%; they differ on 1 of 6" in text and "| stored | +16.67 [" in text


def test_math_verify_in_its_worker():
    grade = grader_named("math-verify")
    gold = {"question": "?", "target": "\\frac{1}{2}"}
    verdicts = grade("math", gold, ["\\boxed{0.5}", "\\boxed{2}", "", "\\boxed{__import__('os').abort()}"])
    assert [one.correct for one in verdicts] == [True, False, False, False]
    assert grade("math", {"target": ""}, ["\\boxed{1}"])[0].failed


def test_verls_own_grader_compares_strings():
    grade = grader_named("verl-math")
    verdicts = grade("math", {"target": "\\frac{1}{2}"}, ["\\boxed{\\frac12}", "\\boxed{1.0/2}"])
    assert [one.correct for one in verdicts] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--graders", "rlvr"], "give two or more"),
        (["--graders", "rlvr,nobody"], "choose from stored, rlvr, math-verify, verl-math, exact"),
        (["--graders", "rlvr,no:body"], "--grader no:body"),
        (["--graders", "rlvr,exact", "--data_source", "nobody"], "no verifier for data source 'nobody'"),
        (["--output", "/proc/agreement"], "/proc: cannot be written to"),
    ],
)
def test_bad_input_is_one_line(samples, capsys, arguments, said):
    assert disagree.command([str(samples), *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("passk.disagree: ") and said in last


def test_too_large_a_k_is_seen_before_anything_is_graded(samples, capsys):
    assert disagree.command([str(samples), "--graders", "rlvr,exact", "--k", "2,9"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("pass@9 needs 9 samples of a question, the most is 3")


def test_samples_that_cannot_be_compared(tmp_path, capsys):
    row = {"question_id": 0, "generation_id": 0, "question": "q", "answer": "1", "response": "1", "label": None}
    path = write(tmp_path / "a.jsonl", [row])
    assert disagree.command([str(path), "--graders", "rlvr,exact"]) == 2
    assert "give --data_source" in capsys.readouterr().err
    assert disagree.command([str(path), "--graders", "rlvr,stored", "--data_source", "math"]) == 2
    assert "its label is null; leave `stored` out" in capsys.readouterr().err
    assert disagree.command([str(tmp_path / "none.jsonl")]) == 2
