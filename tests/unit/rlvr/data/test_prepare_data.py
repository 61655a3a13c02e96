"""The paper's data is verified and an interrupted preparation goes on; one's own set is converted or its bad lines are named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.data import prepare as prepare_data
from rlvr.data.prepare import DataError, Part
from rlvr.data.questions import read_questions
from rlvr.training.reward import compute_score
from tests.conftest import SHARED


def table(*answers: str, source: str = "hub/set") -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "data_source": source,
                "prompt": [{"role": "user", "content": f"question {n}"}],
                "reward_model": {"ground_truth": {"question": f"question {n}", "target": answer}, "style": "rule"},
            }
            for n, answer in enumerate(answers)
        ]
    )


@pytest.fixture
def one_part(monkeypatch, tmp_path):
    """The paper's data is one file of two questions, and there is a good copy of it."""
    right = table("1", "2")
    part = Part("set/test.parquet", "hub/set", "test", 2, prepare_data.checksum(right))
    monkeypatch.setattr(prepare_data, "PARTS", (part,))
    source = tmp_path / "source"
    prepare_data.write(right, source / part.path)
    return source, tmp_path / "data"


def test_a_copy_is_verified_and_not_made_twice(one_part, capsys):
    source, output = one_part
    prepare_data.prepare(output, source)
    made = (output / "set/test.parquet").stat().st_mtime_ns
    assert "2 questions, verified\n" in capsys.readouterr().out
    prepare_data.prepare(output, source)
    assert "verified already" in capsys.readouterr().out
    assert (output / "set/test.parquet").stat().st_mtime_ns == made


@pytest.mark.parametrize("broken", ["half", "other"])
def test_what_is_broken_is_made_anew(one_part, capsys, broken):
    source, output = one_part
    target = output / "set/test.parquet"
    target.parent.mkdir(parents=True)
    if broken == "half":
        target.write_bytes((source / "set/test.parquet").read_bytes()[:200])
    else:
        pq.write_table(table("1", "3"), target)
    prepare_data.prepare(output, source)
    assert "making it anew" in capsys.readouterr().out
    assert prepare_data.read(target).equals(prepare_data.read(source / "set/test.parquet"))


@pytest.mark.parametrize(
    ("content", "named"),
    [(table("1", "3"), "checksum"), (table("1"), "1 questions instead of 2"), (pa.table({"x": [1, 2]}), "no column")],
)
def test_a_source_that_changed_is_refused(one_part, content, named):
    source, output = one_part
    pq.write_table(content, source / "set/test.parquet")
    with pytest.raises(DataError, match=named):
        prepare_data.prepare(output, source)
    assert not (output / "set/test.parquet").exists()


def test_no_network_says_what_to_do(one_part, monkeypatch, capsys):
    import datasets

    def offline(*_, **__):
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    assert prepare_data.main(["--output", str(one_part[1])]) == 2
    assert "Couldn't reach the Hub" in (said := capsys.readouterr().err) and "--source" in said


def test_from_the_hub(one_part, monkeypatch):
    import datasets

    source, output = one_part
    rows = datasets.Dataset(prepare_data.read(source / "set/test.parquet"))
    monkeypatch.setattr(datasets, "load_dataset", lambda hub_id, split: {("hub/set", "test"): rows}[hub_id, split])
    prepare_data.prepare(output, None)
    assert read_questions(output / "set/test.parquet")[1].answer == "2"


def test_the_paper_s_files(tmp_path):
    if not (SHARED / "data").is_dir():
        pytest.skip("the paper's data is not on this machine")
    prepare_data.prepare(tmp_path, SHARED / "data")
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == {
        p.path for p in prepare_data.PARTS
    }


def test_the_checksum_is_over_content_not_bytes():
    plain = table("1", "2")
    with_null = plain.append_column("level", pa.array(["a", "b"]))
    assert prepare_data.checksum(plain) == prepare_data.checksum(with_null)
    assert prepare_data.checksum(plain) != prepare_data.checksum(table("2", "1"))
    assert prepare_data.checksum(plain) != prepare_data.checksum(table("1", "2", source="another"))


# ---- one's own


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text(min_size=1).filter(str.strip), st.integers() | st.from_regex(r"\A[a-z][0-9+]{0,4}[0-9]\Z")),
        min_size=1,
    )
)
def test_what_is_converted_is_what_is_asked(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("own")
    own = folder / "mine.jsonl"
    own.write_text("".join(json.dumps({"problem": p, "answer": a}) + "\n" for p, a in pairs))
    assert prepare_data.convert(own, folder / "mine.parquet") == len(pairs)
    found = read_questions(folder / "mine.parquet")
    assert [(one.text, one.answer) for one in found] == [(problem, str(answer)) for problem, answer in pairs]


async def grade(file, response: str) -> float:
    row = pq.read_table(file).to_pylist()[0]
    return (await compute_score(row["data_source"], response, row["reward_model"]["ground_truth"]))["score"]


def test_parquet_works_too_and_is_graded(tmp_path):
    import asyncio

    own, output = tmp_path / "mine.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"problem": ["1+1?"], "answer": ["2"]}), own)
    assert prepare_data.main(["--own", str(own), "--output", str(output)]) == 0
    assert [asyncio.run(grade(output, text)) for text in ("\\boxed{2}", "\\boxed{3}")] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "is a list, but not of turns"),
        ('{"answer": 1}', "misses a question"),
        ('{"problem": "?", "solution": "1"}', "the gold is a solution without a box"),
        ('{"problem": "?", "answer": ""}', "the gold is empty"),
        ('{"problem": "?", "answer": "\\frac"}', "a backslash of LaTeX was lost"),
        ('{"problem": "?", "answer": true}', "the gold is True"),
        ('{"problem": "?", "answer": "2}"}', "not right against itself"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, capsys, line, why):
    own, output = tmp_path / "mine.jsonl", tmp_path / "out.parquet"
    own.write_text('{"problem": "1+1?", "answer": 2}\n\n' + line + "\n")
    assert prepare_data.main(["--own", str(own), "--output", str(output)]) == 2
    said = capsys.readouterr().err
    assert f"{own}, line 3" in said and why in said
    assert not output.exists()


@pytest.mark.parametrize("name", ["mine.csv", "absent.jsonl", "absent.parquet", "empty.jsonl"])
def test_a_file_that_cannot_be_used(tmp_path, capsys, name):
    (tmp_path / "mine.csv").write_text("problem,answer\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    assert prepare_data.main(["--own", str(tmp_path / name), "--output", str(tmp_path / "out.parquet")]) == 2
    assert name in capsys.readouterr().err
