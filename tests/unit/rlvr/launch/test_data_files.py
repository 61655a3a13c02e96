"""Golds before a run: a few wrong ones are a warning, above 1 % the run is refused; other layouts pass."""

import json

import pytest

from rlvr.launch import data_files
from tests.unit.rlvr.launch.test_preflight import config  # noqa: F401 (a fixture)


def write(path, golds, source="own/x"):
    rows = [{"data_source": source, "problem": f"p{number}", "answer": gold} for number, gold in enumerate(golds)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check(config, file, *more):  # noqa: F811
    return list(data_files.check(config(f"data.train_files={file}", *more)))


def test_a_few_wrong_golds_are_a_warning(config, tmp_path, capsys):  # noqa: F811
    file = write(tmp_path / "a.jsonl", ["1"] * 198 + ["", "2}"])
    assert check(config, file) == []
    said = capsys.readouterr().err
    assert "warning: data.train_files" in said and "2 of 200 golds are wrong" in said and "line 199" in said


def test_more_than_one_in_a_hundred_is_refused(config, tmp_path):  # noqa: F811
    file = write(tmp_path / "a.jsonl", ["1"] * 97 + ["", None, "2}"])
    (problem,) = check(config, file)
    assert "3 of 100 golds are wrong" in problem and "data.allow_wrong_golds=true goes on" in problem
    assert check(config, file, "data.allow_wrong_golds=true") == []


def test_a_function_of_ones_own_knows_what_its_golds_mean(config, tmp_path):  # noqa: F811
    (tmp_path / "reward.py").write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    return 0\n"
    )
    file = write(tmp_path / "a.jsonl", ["2}"] * 4, source="nobody/knows")
    assert check(config, file, f"reward.custom_reward_function.path={tmp_path}/reward.py") == []
    (problem,) = check(config, file)
    assert "no verifier for data source 'nobody/knows'" in problem and str(file) in problem


@pytest.mark.parametrize(("kind", "problems"), [("exact", 0), ("math", 0), ("prose", 2)])
def test_a_mapping_says_who_grades(config, tmp_path, kind, problems):  # noqa: F811
    file = write(tmp_path / "a.jsonl", ["12"] * 4, source="nobody/knows")
    found = check(config, file, f"data.verifiers={{nobody/*: {kind}}}")
    assert (len(found) > 0) is (problems > 0)
    if kind == "prose":
        assert "choose one of math, exact, reasoning_gym" in found[0]


def test_validation_questions_that_are_trained_on(config, tmp_path, capsys):  # noqa: F811
    train, val = write(tmp_path / "a.jsonl", ["1"] * 8), write(tmp_path / "b.jsonl", ["1"] * 4)
    assert check(config, train, f"data.val_files={val}") == []
    assert "4 of 4 questions are trained on too" in capsys.readouterr().err
