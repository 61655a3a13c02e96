"""What the answers of an evaluation are that are not right, and what pass@k would be if cut ones were left out or right."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passk import metrics, report
from passk.estimate import difference, estimate
from passk.kinds import stored_kind
from passk.tally import QuestionTally, Tally, tally
from rlvr.incorrect import KINDS
from rlvr.verify import Verdict
from tests.unit.passk.files import complete, line, write

CUT, STOP = {"finish_reason": "length"}, {"finish_reason": "stop"}


@pytest.mark.parametrize(
    ("verdict", "finish_reason", "kind"),
    [
        (Verdict(True, "2"), "length", None),
        (Verdict(False, "3"), "stop", "wrong"),
        (Verdict(False, "3"), None, "wrong"),
        (Verdict(False, "3"), "length", "truncated"),
        (Verdict(False), "stop", "no_answer"),
        (Verdict(False, "3", layer="unreadable"), "stop", "unreadable"),
        (Verdict(False, "3", "timeout"), "length", "grader_failed"),
    ],
)
def test_what_is_stored(verdict, finish_reason, kind):
    assert stored_kind(verdict, finish_reason) == kind


def kinds_of(path) -> dict[str, int]:
    found = tally(path).questions.values()
    counts = {kind: sum(question.of_kind(kind) for question in found) for kind in KINDS}
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"kind": "unreadable"} | CUT, "unreadable"),  # what the file says counts
        (STOP, "wrong"),
        (CUT, "truncated"),
        ({"pred_answer": None} | STOP, "no_answer"),
        ({"pred_answer": ""} | STOP, "no_answer"),
        ({"error": "timeout"} | CUT, "grader_failed"),
        ({"error": "error: died"} | STOP, "grader_failed"),
        ({"error": "no box"} | STOP, "wrong"),
        ({"kind": "odd"} | STOP, "wrong"),
        ({"kind": 3} | STOP, "wrong"),
    ],
)
def test_the_kind_of_a_stored_sample(tmp_path, fields, kind):
    path = write(tmp_path / "a.jsonl", [line(0, 0, True, kind="wrong"), line(0, 1, False, **fields)])
    assert kinds_of(path) == {kind: 1}, "and a right sample has none, whatever the file says"


def test_what_cannot_be_told_is_said(tmp_path):
    def remarks(**fields):
        return tally(write(tmp_path / "a.jsonl", [line(0, 0, False, **fields), line(0, 1, True)])).told.remarks()

    assert remarks(kind="wrong", finish_reason="stop") == []
    derived, cut = remarks()
    assert derived == "1 of 1 kinds are not recorded but derived: unreadable count as wrong"
    assert cut == "1 of 1 incorrect samples do not say whether they were cut: no bounds"
    assert remarks(finish_reason="stop") == [derived]
    assert remarks(kind="wrong") == [cut]


def test_a_file_without_extracted_answers_has_no_answers_that_are_missing(tmp_path):
    rows = [{"question_id": 0, "generation_id": number, "label": number == 0} for number in range(3)]
    path = write(tmp_path / "a.jsonl", rows)
    assert kinds_of(path) == {"wrong": 2}
    assert tally(path).told.remarks()[0].endswith("derived: unreadable and no_answer count as wrong")
    rows[0]["pred_answer"] = "7"
    assert kinds_of(write(path, rows)) == {"no_answer": 2}


def test_only_usable_samples_are_counted_and_they_keep_their_numbers(tmp_path):
    rows = [line(0, 1, True), line(0, 2, False, **CUT), line(0, 3, False, **STOP), line(0, 3, True), line(0, 4, None)]
    path = write(tmp_path / "a.jsonl", rows)
    assert kinds_of(path) == {"truncated": 1}, "one is there with two labels"
    counts = tally(path)
    assert "counted from 1" in counts.read_as
    (question,) = counts.questions.values()
    assert (question.n, question.c, question.kinds["truncated"]) == (2, 1, 0b10)


@st.composite
def files(draw):
    """Two tallies of the same questions, each with (right, truncated, wrong) samples of every question."""
    size = draw(st.integers(1, 5))
    question = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)).filter(any)
    return [draw(st.lists(question, min_size=size, max_size=size)) for _ in range(2)]


def as_tally(questions) -> Tally:
    result = Tally(None)
    for key, (right, cut, wrong) in enumerate(questions):
        bits = [(1 << right) - 1, ((1 << cut) - 1) << right, ((1 << wrong) - 1) << (right + cut)]
        kinds = {"truncated": bits[1], "wrong": bits[2]}
        result.questions[key] = QuestionTally(text=0, seen=sum(bits), right=bits[0], kinds=kinds)
    return result


def relabelled(questions) -> Tally:
    return as_tally([(right + cut, 0, wrong) for right, cut, wrong in questions])


def without_cut(questions) -> Tally:
    return as_tally([(right, 0, wrong) for right, cut, wrong in questions])


def assert_same(found, wanted) -> None:
    """Values and intervals by k, but for the last digits."""
    assert found.keys() == wanted.keys()
    for k, one in found.items():
        assert (one.value, one.low, one.high) == pytest.approx(
            (wanted[k].value, wanted[k].low, wanted[k].high), abs=1e-9
        )
        assert one.questions == wanted[k].questions


@given(files())
@settings(max_examples=30)
def test_the_bounds_are_those_of_files_that_are_really_so(case):
    ours, base = case
    one = estimate("m", as_tally(ours), [1, 2] if max(map(sum, ours)) > 1 else [1], majority=False)
    assert sum(value.value for value in one.kinds.values()) + one.accuracy.value == pytest.approx(1)
    assert one.kinds["truncated"].value == pytest.approx(sum(cut for _, cut, _ in ours) / sum(map(sum, ours)))
    right = estimate("m", relabelled(ours), list(one.pass_at_k), majority=False)
    assert_same(one.if_cut.right, right.pass_at_k)
    kept = [question for question in ours if question[0] + question[2]]
    if kept:
        ks = [k for k in one.pass_at_k if max(r + w for r, _, w in kept) >= k]
        left_out = estimate("m", without_cut(kept), ks, majority=False)
        for k in ks:
            found, wanted = one.if_cut.left_out[k], left_out.pass_at_k[k]
            assert (found.value, found.questions) == (pytest.approx(wanted.value), wanted.questions)
    assert all(one.pass_at_k[k].value <= one.if_cut.right[k].value + 1e-12 for k in one.pass_at_k)

    two = difference("m", as_tally(ours), "b", as_tally(base), [1, 2])
    assert_same(two.if_cut.right, difference("m", relabelled(ours), "b", relabelled(base), [1, 2]).pass_at_k)
    assert_same(two.if_cut.lowest, difference("m", as_tally(ours), "b", relabelled(base), [1, 2]).pass_at_k)
    assert_same(two.if_cut.highest, difference("m", relabelled(ours), "b", as_tally(base), [1, 2]).pass_at_k)
    assert sum(value.value for value in two.kinds.values()) == pytest.approx(-two.accuracy.value)


def test_a_closed_form():
    """One of four is right, two were cut: pass@2 is 1/2; 1 of the two that are left; 1 − 0/C(4, 2) with three right."""
    found = estimate("m", as_tally([(1, 2, 1)]), [1, 2, 4], majority=False)
    assert [found.pass_at_k[k].value for k in (1, 2, 4)] == [0.25, 0.5, 1]
    assert {k: value.value for k, value in found.if_cut.left_out.items()} == {1: 0.5, 2: 1}, "nothing has four"
    assert [found.if_cut.right[k].value for k in (1, 2, 4)] == [0.75, 1, 1]


def test_nothing_is_said_where_nothing_is_known(tmp_path):
    unknown = as_tally([(1, 1, 1)])
    unknown.questions[0].kinds.pop("wrong")
    found = estimate("m", unknown, [1], majority=False)
    assert found.kinds == {} and found.if_cut is None
    perhaps = as_tally([(1, 1, 1)])
    perhaps.told.perhaps_cut = 1
    assert estimate("m", perhaps, [1], majority=False).if_cut is None
    assert difference("m", perhaps, "b", as_tally([(1, 1, 1)]), [1]).if_cut is None
    uncut = estimate("m", as_tally([(1, 0, 1)]), [1], majority=False)
    assert uncut.if_cut.right == uncut.if_cut.left_out == uncut.pass_at_k


ROWS = [
    line(0, 0, True, **STOP), line(0, 1, False, kind="truncated", **CUT),
    line(1, 0, False, kind="no_answer", **STOP), line(1, 1, False, kind="wrong", **STOP),
]  # fmt: skip


def test_the_tables_and_the_json(tmp_path):
    paths = [write(tmp_path / f"{name}.jsonl", ROWS) for name in ("base", "nsr")]
    tallies = metrics.read(paths, allow_incomplete=False)
    found = metrics.evaluate(tallies, None, majority=False)
    table, _, compared = metrics.tables(tallies, *found)
    assert "of all samples, not right because\n  wrong                   25.00" in table
    assert "  no answer               25.00" in table and "  truncated               25.00" in table
    assert "unreadable" not in table, "what is not there is not listed"
    assert "  pass@2                left out    0.00  0.00 … 0.00 on 1 of 2; right   50.00" in table
    assert "between -25.00 and +25.00" in compared
    assert "pass@2                left out   +0.00  +0.00 … +0.00 on 1 of 2; right   +0.00" in compared
    record = metrics.as_json(tallies, *found)
    assert record["files"][0]["kinds"]["truncated"]["value"] == 0.25
    assert record["files"][0]["if_cut"]["right"][1]["value"] == 0.5
    assert record["files"][0]["remarks_on_kinds"] == []
    assert record["differences"][0]["if_cut"]["highest"][1]["value"] == 0.25


def test_the_tables_of_a_file_that_does_not_say_it(tmp_path):
    tallies = metrics.read([write(tmp_path / "old.jsonl", complete([[True, False], [False, False]]))], False)
    (table,) = metrics.tables(tallies, *metrics.evaluate(tallies, None, majority=False))
    assert "    3 of 3 kinds are not recorded but derived: unreadable count as wrong" in table
    assert "    3 of 3 incorrect samples do not say whether they were cut: no bounds" in table
    assert "left out" not in table


def test_the_report(tmp_path):
    def page(rows):
        paths = [write(tmp_path / f"{name}.jsonl", rows) for name in ("base", "nsr")]
        tallies = metrics.read(paths, allow_incomplete=False)
        text = report.page(tallies, *metrics.evaluate(tallies, None, majority=False), title="t")
        return text, json.loads(text.split('type="application/json">')[1].split("</script>")[0])

    text, data = page(ROWS)
    assert data["outcomes"] == ["right", "wrong", "no answer", "truncated"]
    assert [one["outcome"] for one in data["samples"]][:4] == ["right", "no answer", "truncated", "wrong"]
    assert '<th scope="row">samples: truncated</th><td>25.0' in text
    assert "If the truncated answers had been left out, or right" in text
    assert '<th scope="col">nsr minus base: highest</th>' in text
    assert '0.0 <span class="interval">0.0 … 0.0</span> <span class="interval">on 1 of 2</span>' in text
    assert "truncated 25.0 %" in text, "the histogram says it too"

    text, data = page(complete([[True, False]]))
    assert data["outcomes"] == ["right", "wrong"]
    assert "If the truncated answers" not in text
    assert "1 of 1 incorrect samples do not say whether they were cut" in text
