"""Every layout gives the same questions, or a line that says what is wrong with which row."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlvr.data.audit import main as audit_main
from rlvr.data.audit import normalised
from rlvr.data.layouts import LAYOUTS
from rlvr.data.questions import read_questions, survey
from rlvr.records import DataError
from tests.conftest import ROOT

TURN = [{"role": "user", "content": "p"}]
TRUTH = {"style": "rule", "ground_truth": "2"}
SAME = {  # all of these ask p, and 2 is the answer
    "verl": {"data_source": "math_dapo", "prompt": TURN, "reward_model": TRUTH, "extra_info": {"index": "a"}},
    "verl, list": {"prompt": TURN, "reward_model": {"ground_truth": ["2"]}},
    "verl, json list": {"prompt": TURN, "reward_model": {"ground_truth": '["2"]'}},
    "verl, int": {"prompt": TURN, "reward_model": {"ground_truth": 2}},
    "verl, record": {"prompt": TURN, "reward_model": {"ground_truth": {"question": "p", "target": "2"}}},
    "verl, text prompt": {"prompt": "p", "reward_model": TRUTH},
    "verl, json prompt": {"prompt": json.dumps(TURN), "reward_model": json.dumps(TRUTH)},
    "verl, empty source": {"data_source": "", "prompt": TURN, "reward_model": TRUTH},
    "verl, system": {"prompt": [{"role": "system", "content": "s"}, *TURN], "reward_model": TRUTH},
    "verl, parts": {"prompt": [{"role": "user", "content": [{"type": "text", "text": "p"}]}], "reward_model": TRUTH},
    "gsm8k": {"question": "p", "answer": "1+1 = <<1+1=2>>2\n#### 2"},
    "math": {"problem": "p", "level": "Level 1", "type": "Algebra", "solution": "so $\\boxed{2}$."},
    "math-500": {"problem": "p", "solution": "so \\boxed{2}", "answer": "2", "subject": "a", "unique_id": "t/1.json"},
    "aime 2024, capitals": {"ID": "2024-I-1", "Problem": "p", "Solution": "s", "Answer": 2},
    "aimo validation": {"id": 0, "problem": "p", "solution": "s", "answer": 2.0, "url": "u"},
    "math-ai": {"id": 0, "problem": "p", "solution": "\\boxed{2}", "url": "u"},
    "matharena": {"problem_idx": 1, "problem": "p", "answer": 2, "problem_type": ["Algebra"]},
    "omni-math": {"domain": ["a"], "difficulty": 2.0, "problem": "p", "solution": "in prose", "answer": "2"},
    "openr1": {"problem": "p", "solution": "s", "answer": "2", "generations": ["g"], "correctness_math_verify": [True]},
    "numina-cot": {"source": "a", "problem": "p", "solution": "\\boxed{2}", "messages": TURN},
    "numina-1.5": {"problem": "p", "solution": "so \\boxed{2}", "answer": "notfound", "question_type": "x"},
    "olympiadbench": {"id": 1, "question": "p", "solution": ["s"], "final_answer": ["2"], "unit": None, "error": None},
    "deepscaler": {"problem": "p", "answer": "2", "solution": ""},
    "deepmath": {"question": "p", "final_answer": "2", "r1_solution_1": "s"},
    "openmath": {"problem": "p", "expected_answer": "2", "generated_solution": "s"},
    "skywork": {
        "data_source": "train-math-x",
        "prompt": TURN,
        "reward_model": {"ground_truth": '["2"]', "style": "rule"},
    },
    "dapo processed": {"prompt": "p", "solution": "2", "data_source": "math_dapo", "reward_model": TRUTH},
    "orz": [{"from": "human", "value": "p"}, {"from": "assistant", "ground_truth": {"value": "2"}}],
    "turns": {"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "so \\boxed{2}"}]},
    "synthetic-2": {"prompt": "p", "verification_info": '{"ground_truth": "2"}', "task_type": "verifiable_math"},
    "other columns": {"problem": "p", "answer": "2", "logprob": float("nan"), "nested": {"a": [1]}},
}


@pytest.mark.parametrize("kind", SAME)
def test_layouts(tmp_path, kind):
    rows = [SAME[kind]] * 2
    (tmp_path / "math.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "plain.json").write_text(json.dumps(rows))
    paths = [tmp_path / "math.jsonl", tmp_path / "plain.json"]
    if isinstance(rows[0], dict):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        paths.append(tmp_path / "a.parquet")
    for path in paths:
        for number, question in enumerate(read_questions(path)):
            assert (question.text, question.golds, question.question_id) == ("p", ("2",), number)
            assert question.problem is None and question.messages[-1] == TURN[0]


def test_choices_are_asked_too(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "which?", "choices": ["one", "two"], "answer": "B"}))
    assert read_questions(path)[0].text == "which?\nA. one\nB. two"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"problem": "p"}, "misses a gold answer"),
        ({"answer": "2"}, "misses a question"),
        ({"problem": "", "answer": "2"}, "misses a question .*; empty: problem"),
        ({"id": 1}, "misses a question .* and a gold answer .* \\(it has id\\)"),
        ({"prompt": [], "reward_model": TRUTH}, "key 'prompt': must be a text or a list of messages"),
        ({"prompt": [{"role": "user"}], "reward_model": TRUTH}, "key 'prompt': has a message without content"),
        ({"prompt": TURN, "reward_model": {"style": "rule"}}, "key 'reward_model': has no ground_truth"),
        ({"prompt": TURN, "reward_model": TRUTH, "data_source": 3}, "key 'data_source': is 3 and no text"),
        ({"prompt": [{"content": [{"type": "image"}]}], "reward_model": TRUTH}, "parts that are no text"),
        ({"input": "p", "output": "o", "gts": "2", "score": 1}, "is a sample that a model wrote"),
        ([[{"a": 1}]], "is a list, but not of turns"),
        (None, "is no question: it is NoneType"),
    ],
)
def test_a_row_that_is_no_question_is_named(tmp_path, row, why):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"problem": "p", "answer": "2"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=why) as failure:
        read_questions(path)
    assert str(failure.value).startswith(f"{path}, line 2") and "\n" not in str(failure.value)


def test_a_gold_that_is_none_is_the_questions_problem(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem": "p", "solution": "a proof in prose"}\n')
    (question,) = read_questions(path)
    assert question.golds == () and "line 1, key 'solution': the gold is a solution without a box" in str(
        question.problem
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "ground_truth", "target"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
KEYS = [
    "prompt",
    "problem",
    "answer",
    "Answer",
    "solution",
    "reward_model",
    "data_source",
    "extra_info",
    "conversations",
]
KEYS += ["final_answer", "choices", "verification_info", "question"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5) | JSON, min_size=1, max_size=3))
def test_no_row_raises_anything_else(tmp_path, rows):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        reading = survey(path)
    except DataError as error:
        assert "\n" not in str(error)
        return
    for question in reading.questions:
        assert question.text.strip() and question.messages and bool(question.golds) is (question.problem is None)
    assert all("\n" not in str(error) and str(path) in str(error) for error in reading.errors)


def rows_file(path: Path, answers, problem="p{}") -> Path:
    path.write_text(
        "".join(json.dumps({"problem": problem.format(n), "answer": a}) + "\n" for n, a in enumerate(answers))
    )
    return path


def test_the_audit_names_wrong_golds_and_duplicates(tmp_path, capsys):
    train = rows_file(tmp_path / "train.jsonl", ["1", "", "1}", "east", "\\frac12"])
    test = rows_file(tmp_path / "test.jsonl", ["1", "2"], "$P{}$")
    assert audit_main([str(train), str(test)]) == 2
    said = capsys.readouterr().out
    assert "train.jsonl, line 3: the gold '1}' is not right against itself" in said
    assert "0 rows are no questions" in said and "line 2, key 'answer': the gold is empty" in said
    assert "2 questions are in" in said and "REFUSED" in said
    assert audit_main([str(train), str(test), "--json"]) == 2
    data = json.loads(capsys.readouterr().out)
    assert data["files"][0]["layers"] == {"numeric": 2, "text": 1} or data["files"][0]["layers"]["text"] >= 1
    assert data["between"][0]["duplicates"][0] == ["line 1", "line 1"]
    assert audit_main([str(test)]) == 0


def test_copies_of_a_question_are_recognised():
    assert normalised("Find $x$ if \\( \\dfrac12 \\).") == normalised("find x if \\frac12")
    assert normalised("x = 1.5") != normalised("x = 15") and normalised("A") == normalised("a ")


def test_the_table_of_layouts_in_the_docs():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for layout in LAYOUTS:
        assert f"| {layout.name} | {layout.sets} | {layout.question} | {layout.gold} |" in text
