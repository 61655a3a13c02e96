"""Samples of other programs: converted with the right question, number, label and text, or refused in one line."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passk import metrics, report
from passk.regrade import regrade
from passk.samples import Samples, read_samples
from passk.tally import tally
from rlvr.records import DataError
from tests.unit.passk.files import complete, write

# two questions, two samples each: right, wrong | wrong, wrong
RIGHT = [[True, False], [False, False]]


def said(label: bool) -> str:
    return f"so \\boxed{{{4 if label else 5}}}"


def each():
    return [(q, g, label) for q, row in enumerate(RIGHT) for g, label in enumerate(row)]


def verl(**more):
    return [
        {"input": f"q{q}", "output": said(right), "gts": "4", "score": float(right), "step": 7} | more
        for q, _, right in each()
    ]


FOREIGN = {
    "lm-eval": [
        {"doc_id": q, "doc": {"problem": f"q{q}"}, "target": "4", "resps": [[said(label)]], "filtered_resps": ["x"]}
        | {"filter": "none", "metrics": ["exact_match"], "exact_match": int(label)}
        for q, _, label in each()
    ],
    "verl dump": verl(),
    "verl dump ours": verl(acc=None, pred="4", timeout=0.0, error=0.0),
    "verl dump gts record": [row | {"gts": {"question": "?", "target": "4"}} for row in verl()],
    "verl dump dapo": [row | {"score": 2 * row["score"] - 1, "acc": bool(row["score"])} for row in verl()],
    "verifiers": [
        {"example_id": q, "prompt": [{"role": "user", "content": f"q{q}"}], "answer": "4", "reward": float(label)}
        | {"completion": [{"role": "assistant", "content": said(label)}]}
        for q, _, label in each()
    ],
    "Qwen2.5-Math": [
        {
            "idx": q,
            "question": f"q{q}",
            "gt_cot": "…",
            "gt": "4",
            "code": [said(one) for one in row],
            "pred": ["4", "5"],
        }
        | {"report": [None, None], "score": row}
        for q, row in enumerate(RIGHT)
    ],
    "MathArena": [
        {"problem_idx": q, "problem": f"q{q}", "idx_answer": g, "answer": said(label), "gold_answer": 4}
        | {"parsed_answer": 4, "correct": label, "model_name": "m", "output_tokens": 3}
        for q, g, label in each()
    ],
    "training": [
        {"step": 3, "split": "validation", "question_id": f"{q}f", "group": f"{q}-a", "question": f"q{q}", "gold": "4"}
        | {"answer": said(label), "extracted": "4", "correct": label, "layer": None, "kind": None if label else "wrong"}
        | {"kept": False, "advantage": None, "tokens": 3, "finish_reason": "stop", "log_prob": -0.5, "entropy": None}
        for q, _, label in each()
    ],
    "ours, labels as text": [one | {"label": str(one["label"])} for one in complete(RIGHT)],
    "ours, labels as numbers": [one | {"label": float(one["label"])} for one in complete(RIGHT)],
    "ours, from 1": [one | {"generation_id": one["generation_id"] + 1} for one in complete(RIGHT)],
    "ours, NaN elsewhere": [one | {"logprob": float("nan")} for one in complete(RIGHT)],
}


def files(folder, rows):
    """However it is stored."""
    path = write(folder / "lines.jsonl", rows)
    (folder / "array.json").write_text(json.dumps(rows))
    (folder / "packed.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    (folder / "bom.jsonl").write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return [path, folder / "array.json", folder / "packed.jsonl.gz", folder / "bom.jsonl"]


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_layout_gives_the_same_figures(tmp_path, kind):
    for path in files(tmp_path, FOREIGN[kind]):
        counts = tally(path)
        assert counts.problems == []
        assert [(question.n, question.c) for question in counts.questions.values()] == [(2, 1), (2, 0)]
        assert counts.read_as is None or str(path) in counts.read_as
        found = list(read_samples(Samples(path)))
        assert [one["question_id"] for one in found] == [0, 0, 1, 1]
        assert all(one["question"] == f"q{one['question_id']}" and "\\boxed" in one["response"] for one in found)
        assert {one["answer"] for one in found} <= {"4", "42"}


def test_what_was_taken_is_said(tmp_path):
    counts = tally(write(tmp_path / "1.jsonl", FOREIGN["verl dump"]))
    assert counts.read_as.endswith("read as verl dump: question = input, response = output, gold = gts, label = score")


def test_what_training_keeps_has_its_kinds(tmp_path):
    rows = [row | {"kind": "truncated", "finish_reason": "length"} for row in FOREIGN["training"] if not row["correct"]]
    counts = tally(write(tmp_path / "validation_000003.jsonl", rows))
    assert counts.told.remarks() == [] and counts.cut == 3
    assert [question.of_kind("truncated") for question in counts.questions.values()] == [1, 2]


def test_verifiers_say_whether_a_response_was_cut(tmp_path):
    rows = [row | {"is_truncated": row["reward"] == 0} for row in FOREIGN["verifiers"]]
    counts = tally(write(tmp_path / "a.jsonl", rows))
    assert [question.of_kind("truncated") for question in counts.questions.values()] == [1, 2]
    assert len(counts.told.remarks()) == 1, "only that the kinds are derived"


def test_nemo_skills_is_a_file_a_sample(tmp_path):
    for seed in range(2):
        rows = [
            {"problem": f"q{q}", "expected_answer": "4", "generation": said(row[seed]), "predicted_answer": "4"}
            | {"symbolic_correct": row[seed], "num_generated_tokens": 9}
            for q, row in enumerate(RIGHT)
        ]
        write(tmp_path / f"output-rs{seed}.jsonl", rows)
    assert [(one.n, one.c) for one in tally(tmp_path / "output-rs0.jsonl").questions.values()] == [(1, 1), (1, 0)]
    together = tally(tmp_path)
    assert [(one.n, one.c) for one in together.questions.values()] == [(2, 1), (2, 0)] and together.problems == []


def test_the_report_and_regrade_read_them_too(tmp_path, capsys):
    path = files(tmp_path, FOREIGN["verl dump"])[2]
    tallies = metrics.read([path], allow_incomplete=False)
    page = report.page(tallies, *metrics.evaluate(tallies, None, majority=False), title="t")
    assert "boxed{5}" in page
    regrade(str(path), str(tmp_path / "new.jsonl"), data_source="math_dapo")
    assert "0 of 4 labels changed" in (printed := capsys.readouterr().out) and "gold = gts" in printed


def test_several_filters_of_lm_eval_are_one_evaluation(tmp_path):
    rows = [one | {"filter": name} for one in FOREIGN["lm-eval"] for name in ("strict", "flexible")]
    counts = tally(write(tmp_path / "a.jsonl", rows))
    assert [(one.n, one.c) for one in counts.questions.values()] == [(2, 1), (2, 0)]
    assert "only the filter 'strict'; 'flexible' is left out" in counts.read_as


def test_what_is_no_verdict_is_a_null_label(tmp_path):
    counts = tally(write(tmp_path / "a.jsonl", [row | {"score": 0.1} for row in verl()]))
    assert counts.problems[0].startswith("4 null labels") and "score 0.1 is no verdict" in counts.read_as


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"problem": "?", "answer": "4"}], "misses generation_id, label, question_id .* not of another known layout"),
        ([[1]], "is no sample: it is int"),
        ([], "is empty"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, rows, message):
    with pytest.raises(DataError, match=message) as failure:
        tally(write(tmp_path / "a.jsonl", rows))
    assert "\n" not in str(failure.value) and "a.jsonl" in str(failure.value)


def test_what_cannot_be_graded_names_all_that_is_missing(tmp_path, capsys):
    path = write(tmp_path / "a.jsonl", [{"question_id": 0, "generation_id": 0, "label": True, "question": "?"}])
    with pytest.raises(SystemExit) as stopped:
        regrade(str(path), str(tmp_path / "new.jsonl"), data_source="math")
    assert stopped.value.code == 2 and not (tmp_path / "new.jsonl").exists()
    assert "line 1: misses answer, response" in capsys.readouterr().err
    mixed = [row | {"step": number} for number, row in enumerate(verl())]
    assert "mixes step 0 and 1" in str(tally(write(tmp_path / "b.jsonl", mixed)).problems)


KEYS = [
    "question_id",
    "generation_id",
    "label",
    "doc_id",
    "resps",
    "input",
    "output",
    "gts",
    "score",
    "code",
    "pred",
    "idx",
]
KEYS += [
    "generation",
    "expected_answer",
    "completion",
    "reward",
    "prompt",
    "gold_answer",
    "parsed_answer",
    "correct",
    "uid",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["role", "content"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8) | VALUES, min_size=1, max_size=3))
def test_no_record_raises_anything_but_a_line(tmp_path, rows):
    path = write(tmp_path / "a.jsonl", rows)
    try:
        counts = tally(path)
        report.browser_data({"a": counts})
        list(read_samples(Samples(path)))
    except DataError as error:
        assert "\n" not in str(error)
