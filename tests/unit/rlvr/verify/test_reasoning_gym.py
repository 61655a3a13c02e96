"""Tasks of reasoning-gym: their own scoring decides, in a worker, and nothing that a model writes is evaluated."""

import asyncio
import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.data.tasks import Task, ground_truth
from rlvr.training.reward import compute_score
from rlvr.verify import Policy, UnknownDataSource, verifier_for, verify_batch
from rlvr.verify.__main__ import main
from rlvr.verify.reasoning_gym import NOT_FINITE, REFUSED, SOURCE, TASKS, TaskVerifier, plain
from rlvr.verify.verdict import Kind

# Answers that no question of a task has, and that scorers written for honest text have been seen to pay.
JUNK = (
    "nan",
    "-nan",
    "nanj",
    "1+nanj",
    "inf",
    "-inf",
    "1e999",
    "None",
    "[]",
    "{}",
    "()",
    "''",
    "[[]]",
    "?",
    "x",
    "null",
    "[null]",
)


def entries(name: str, number: int = 3, **settings):
    from reasoning_gym.factory import create_dataset

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = create_dataset(name, seed=7, size=100, **settings)
        return [dataset[index] for index in range(number)]


def truth(name: str, **settings):
    return ground_truth(Task(name, settings), entries(name, 1, **settings)[0])


def boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


def test_every_task_of_the_package_is_offered_or_refused():
    from reasoning_gym.factory import DATASETS

    assert set(TASKS) | set(REFUSED) == set(DATASETS)
    assert not set(TASKS) & set(REFUSED)
    assert len(TASKS) > 80


@pytest.mark.parametrize("name", TASKS)
def test_every_gold_is_right_and_junk_is_not(name):
    """After its way through JSON, and where nothing can be evaluated, imported or opened."""
    for entry in entries(name, 2):
        stored = ground_truth(Task(name, {}), entry)
        gold, *others = verify_batch(SOURCE + name, [(boxed(text), stored) for text in (entry["answer"], *JUNK)])
        assert gold.correct, (entry["answer"], gold)
        paid = [text for text, verdict in zip(JUNK, others) if verdict.correct and text != entry["answer"].strip()]
        assert not paid
        assert not any(verdict.timed_out for verdict in others)


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("composite", "codeio", "number_sorting")])
def test_what_is_refused_could_not_be_graded(name):
    """So that a task leaves the list when its scoring is mended."""
    verifier = TaskVerifier(workers=1)
    for entry in entries(name, 2):
        stored = ground_truth(Task(name, {}), entry)
        if isinstance(entry["answer"], str) and verifier.verify(name, boxed(entry["answer"]), stored).correct:
            assert verifier.verify(name, boxed("x"), stored).correct
    verifier.close()


@pytest.mark.parametrize("name", ["binary_matrix", "n_queens", "spiral_matrix", "string_insertion"])
def test_what_a_model_writes_is_never_evaluated(name, tmp_path):
    """These scorers call eval on the answer, for partial credit."""
    spy = tmp_path / "evaluated"
    verdict = verifier_for(SOURCE + name)(boxed(f"[open('{spy}', 'w')]"), truth(name))
    assert not verdict.correct
    assert not spy.exists()


def test_its_own_scoring_decides_not_the_text():
    gold = {"question": "600 + 400 =", "target": "1000", "entry": json.dumps({"config": {}, "metadata": {}})}
    answers = ["1000", "1,000", "+1000.0", "\\text{1000}", "$1000$", "600 + 400 = 1000", "1000."]
    answers += ["999", "1000 apples", "The 1000", "1000 = 999"]
    verdicts = verify_batch(SOURCE + "chain_sum", [(boxed(answer), gold) for answer in answers])
    assert [verdict.correct for verdict in verdicts] == [True] * 7 + [False] * 4
    assert {verdict.layer for verdict in verdicts} == {"score"}


def test_the_settings_of_the_question_are_those_of_its_scoring():
    """The partial credit of a time depends on a setting; 1.0 does not, but the task must be made with it."""
    gold = truth("time_intervals", max_date_difference_days=5)
    assert json.loads(gold["entry"])["config"] == {"max_date_difference_days": 5}
    assert verifier_for(SOURCE + "time_intervals")(boxed(gold["target"]), gold).correct


def test_no_answer():
    gold = truth("chain_sum")
    for response in ("", "I do not know", boxed(""), "\\boxed{"):
        verdict = verifier_for(SOURCE + "chain_sum")(response, gold)
        assert (verdict.correct, verdict.error, verdict.failed) == (False, "no answer", False)
    only_boxes = verifier_for(SOURCE + "chain_sum", Policy(("boxed",)))
    assert not only_boxes(f"The answer is {gold['target']}.", gold).correct
    assert verifier_for(SOURCE + "chain_sum")(f"The answer is {gold['target']}.", gold).correct


@pytest.mark.parametrize(
    "broken", [{}, {"target": "3"}, {"target": "3", "entry": None}, {"target": None, "entry": "{}"}]
)
def test_a_record_without_what_the_scorer_needs_is_an_error_not_a_wrong_answer(broken):
    assert verifier_for(SOURCE + "chain_sum")(boxed("3"), broken).failed


@pytest.mark.parametrize("entry", ["", "{}", "[]", "no json", '{"metadata": {}, "config": {"nobody": 1}}'])
def test_a_broken_entry_is_an_error_not_a_wrong_answer(entry):
    verdict = verifier_for(SOURCE + "chain_sum")(boxed("3"), {"question": "?", "target": "3", "entry": entry})
    assert verdict.failed
    assert verifier_for(SOURCE + "chain_sum")(boxed("3037"), truth("chain_sum")).error is None, "the worker goes on"


def test_a_scorer_that_hangs_is_killed():
    """The scorer of coin_flip reads the answer as a fraction: 10 to the power of a thousand million."""
    verifier = TaskVerifier(workers=1, deadline=0.5)
    gold = truth("coin_flip")
    verdict = verifier.verify("coin_flip", boxed("1e1000000000"), gold)
    assert verdict.timed_out and not verdict.correct
    verifier.pool.deadline = 60.0
    assert verifier.verify("coin_flip", boxed(gold["target"]), gold).correct
    verifier.close()


def test_an_answer_that_its_scorer_stumbles_over_is_unreadable():
    verdict = verifier_for(SOURCE + "prime_factorization")(boxed("two and three"), truth("prime_factorization"))
    assert (verdict.correct, verdict.error, verdict.kind) == (False, None, Kind.UNREADABLE)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("chain_summ", "did you mean chain_sum"),
        ("puzzle24", "not offered: its scoring evaluates"),
        ("", "choose one of ab, acre"),
        ("../chain_sum", "there is no task"),
    ],
)
def test_a_task_that_is_not_there(name, why):
    with pytest.raises(UnknownDataSource, match="reasoning_gym") as failure:
        verifier_for(SOURCE + name)
    assert why in str(failure.value) and "\n" not in str(failure.value)


def test_the_reward():
    gold = truth("chain_sum")
    right, wrong = (
        asyncio.run(compute_score(SOURCE + "chain_sum", boxed(text), gold)) for text in (gold["target"], "x")
    )
    said = {"pred": gold["target"], "layer": "score", "kind": "right"}
    assert right == {"score": 1.0, "acc": 1.0, "timeout": 0.0, "error": 0.0} | said
    assert (wrong["score"], wrong["kind"], wrong["error"]) == (0.0, "wrong", 0.0)


@given(st.text(max_size=60))
def test_a_gold_stays_as_it_is(text):
    assert plain(text, text) == text.strip()


@given(st.text(alphabet="ab1 =.$", max_size=12), st.text(alphabet="ab1 =.$", max_size=12))
def test_nothing_is_added_to_an_answer(answer, gold):
    assert plain(answer, gold) in answer


@pytest.mark.parametrize(
    ("text", "found"), [("nan", 1), ("1+nanj", 1), ("-inf", 1), ("sNaN", 1), ("banana", 0), ("info", 0)]
)
def test_not_finite(text, found):
    assert bool(NOT_FINITE.search(text)) == bool(found)


def test_the_command_grades_tasks_between_mathematics(tmp_path, capsys):
    gold = truth("chain_sum")
    task = {"data_source": SOURCE + "chain_sum", "gold": gold["target"], "entry": gold["entry"]}
    lines = [
        {"gold": "7", "response": boxed("7.0")},
        {**task, "response": f"so it is {boxed(gold['target'] + '.0')}"},
        {**task, "prediction": "1"},
        {"gold": "7", "response": "I do not know"},
        {**task, "response": "I do not know"},
        {**task, "entry": None, "response": "1"},
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["--input", str(source), "--output", str(target)]) == 2
    verdicts = [json.loads(line) for line in target.read_text().splitlines()]
    assert [verdict["correct"] for verdict in verdicts] == [True, True, False, False, False]
    assert [verdict["error"] for verdict in verdicts[3:]] == ["no answer", "no answer"]
    assert "line 6: no text 'entry'" in capsys.readouterr().err
