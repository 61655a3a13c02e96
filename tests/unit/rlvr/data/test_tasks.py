"""Questions of reasoning-gym's tasks: no question twice, every gold right, bad input in one line."""

import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passk.grade import installed_grader
from passk.questions import load_questions
from passk.regrade import Disagreements, regraded
from rlvr.data import prepare, tasks
from rlvr.data.prepare import DataError
from rlvr.data.tasks import Task, parse
from rlvr.verify import verifier_for

SUMS = "chain_sum:max_terms=2,max_digits=2"
SPLITS = ("test", "tune", "train")


def made(folder, *arguments) -> dict[str, list[dict]]:
    assert prepare.main(["--output", str(folder), *map(str, arguments)]) == 0
    return {split: pq.read_table(folder / f"{split}.parquet").to_pylist() for split in SPLITS}


def questions(rows) -> list[str]:
    return [row["prompt"][0]["content"] for row in rows]


def test_three_files_without_a_question_in_two_of_them(tmp_path, capsys):
    files = made(tmp_path, "--task", "chain_sum:max_terms=2,max_digits=1", "--size", 50)
    everything = [text for rows in files.values() for text in questions(rows)]
    assert {split: len(rows) for split, rows in files.items()} == {"test": 50, "tune": 50, "train": 50}
    assert len(set(everything)) == 150, "of the 200 that there are"
    said = capsys.readouterr().out
    assert "questions that were made twice" in said and "left out: 0" not in said
    for split, rows in files.items():
        assert {row["data_source"] for row in rows} == {"reasoning_gym/chain_sum"}
        assert [row["extra_info"]["index"] for row in rows] == list(range(50))
        assert {row["extra_info"]["split"] for row in rows} == {split}
        for row in rows:
            entry = json.loads(row["reward_model"]["ground_truth"]["entry"])
            assert entry["config"] == {"max_terms": 2, "max_digits": 1}


def test_the_same_seed_makes_the_same_and_another_seed_others(tmp_path):
    first, again, other = (made(tmp_path / str(n), "--task", SUMS, "--size", 9, "--seed", n % 2) for n in range(3))
    assert first == other
    assert not set(questions(first["train"])) & set(questions(again["train"]))


def test_a_task_that_draws_from_the_global_generator_is_reproducible(tmp_path):
    one, two = (made(tmp_path / name, "--task", "acre", "--size", 3) for name in "ab")
    assert one == two


def test_training_and_evaluation_read_the_same_question(tmp_path):
    rows = made(tmp_path, "--task", SUMS, "--size", 5)["test"]
    loaded = load_questions(str(tmp_path / "test.parquet"), "test", 1)
    assert [question.text for question in loaded] == questions(rows)
    for question, row in zip(loaded, rows):
        response = f"\\boxed{{{row['reward_model']['ground_truth']['target']}}}"
        assert verifier_for(question.data_source)(response, question.truth).correct
        assert not verifier_for(question.data_source)("\\boxed{x}", question.truth).correct


def test_a_gold_that_is_not_graded_right_is_left_out_and_counted(tmp_path, capsys, monkeypatch):
    honest = tasks._draw

    def sometimes_wrong(task, seed):
        return [
            entry | {"answer": "none}"} if number % 3 == 0 else entry  # cannot be boxed
            for number, entry in enumerate(honest(task, seed))
        ]

    monkeypatch.setattr(tasks, "_draw", sometimes_wrong)
    files = made(tmp_path, "--task", SUMS, "--size", 8)
    assert len(files["train"]) == 8
    assert "none}" not in str(files)
    said = capsys.readouterr().out
    dropped = int(said.rsplit("twice, ", 1)[1].split()[0])
    assert dropped > 5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--task", "chain_summ"], "did you mean chain_sum"),
        (["--task", "countdown"], "not offered"),
        (["--task", "chain_sum:max_term=3"], "did you mean max_terms"),
        (["--task", "chain_sum:max_terms"], "is no key=value"),
        (["--task", "chain_sum:max_terms=two"], "must be int"),
        (["--task", "chain_sum:max_terms=2.5"], "must be int"),
        (["--task", "chain_sum:max_terms=true"], "must be int"),
        (["--task", "chain_sum:allow_negation=1"], "must be bool"),
        (["--task", "chain_sum:max_terms=1"], "max_terms must be >= min_terms"),
        (["--task", "chain_sum:seed=3"], "given as --seed"),
        (["--task", "chain_sum:size=3"], "given as --size"),
        (["--task", "chain_sum", "--size", "0"], "size must be 1 or more"),
        (["--task", "chain_sum", "--seed", "-1"], "seed 0 or more"),
        (["--task", "chain_sum:max_terms=2,max_digits=1", "--size", "100"], "only 200 are different"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capsys, arguments, why):
    assert prepare.main([*arguments, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("data error:")]
    assert why in line
    assert not (tmp_path / "out").exists()


def test_it_is_one_line_as_a_command_too():
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "rlvr.data.prepare", "--task", "sum"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Traceback" not in done.stderr


@given(st.dictionaries(st.sampled_from(["max_terms", "max_digits"]), st.integers(6, 9)))
def test_settings_are_read_as_they_are_written(settings):
    task = Task("chain_sum", settings)
    assert parse(task.text) == task


def test_lists_and_words_are_values():
    assert parse("letter_jumble:min_words=2").settings == {"min_words": 2}
    assert parse("number_format:max_delta=3").settings == {"max_delta": 3}
    with pytest.raises(DataError, match="must be list"):
        parse("time_intervals:task_types=date")
    assert parse('time_intervals:task_types=["date","time"],max_date_difference_days=9').settings == {
        "task_types": ["date", "time"],
        "max_date_difference_days": 9,
    }


def test_stored_samples_are_graded_again_by_the_same_scoring(tmp_path):
    """What the scorer needs travels with the samples."""
    made(tmp_path, "--task", "knights_knaves", "--size", 2)
    (question, _) = load_questions(str(tmp_path / "test.parquet"), "test", 1)
    common = {
        "question_id": 0,
        "question": question.text,
        "answer": question.answer,
        "data_source": question.data_source,
    }
    common |= {"entry": question.entry, "label": None}
    responses = [f"\\boxed{{{question.answer}}}", "\\boxed{everybody is a knave}"]
    samples = [common | {"generation_id": n, "response": response} for n, response in enumerate(responses)]
    again = regraded(samples, installed_grader(), None, Disagreements())
    assert [sample["label"] for sample in again] == [True, False]
