"""Every file gives its records, or one DataError of one line; no other exception, whatever is in it."""

import codecs
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlvr.records import DataError, read_records

ROWS = [{"problem": f"p{n} \u2028 ü", "answer": n, "other": float("nan")} for n in range(3)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def lines(rows, end="\n") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode()


def values(path):
    return [record.value["problem"] for record in read_records(path)]


WRITTEN = {
    "lines": lines(ROWS),
    "crlf": lines(ROWS, "\r\n"),
    "blank lines": b"\n\n" + lines(ROWS, "\n \n"),
    "no newline at the end": lines(ROWS).rstrip(),
    "bom": codecs.BOM_UTF8 + lines(ROWS),
    "utf-16": lines(ROWS).decode().encode("utf-16"),
    "utf-32": lines(ROWS).decode().encode("utf-32"),
    "array": json.dumps(ROWS).encode(),
    "array over lines": json.dumps(ROWS, indent=2).encode(),
    "array with a bom": codecs.BOM_UTF8 + json.dumps(ROWS, indent=2).encode(),
    "in data": json.dumps({"version": 1, "data": ROWS}).encode(),
    "in data over lines": json.dumps({"version": 1, "data": ROWS}, indent=1).encode(),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", WRITTEN)
def test_however_it_is_written_it_is_the_same(tmp_path, kind, packed):
    path = tmp_path / "a.jsonl"  # the name says nothing
    path.write_bytes(gzip.compress(WRITTEN[kind]) if packed else WRITTEN[kind])
    assert values(path) == [row["problem"] for row in ROWS]


def test_tables(tmp_path):
    (tmp_path / "a.csv").write_bytes(codecs.BOM_UTF8 + b'problem,answer\r\n"1,\r\n2",3\r\n')
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"problem\tanswer\n1\t3\n"))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert [r.value for r in read_records(tmp_path / "a.csv")] == [{"problem": "1,\r\n2", "answer": "3"}]
    assert [r.value["answer"] for r in read_records(tmp_path / "a.tsv.gz")] == ["3"]
    assert values(tmp_path / "a.parquet") == [row["problem"] for row in ROWS]


def test_conversations_are_records_not_arrays(tmp_path):
    turns = [{"from": "human", "value": "?"}, {"from": "assistant", "value": "1"}]
    path = tmp_path / "a.jsonl"
    for count in (1, 2):
        path.write_bytes(lines([turns] * count))
        assert [record.value for record in read_records(path)] == [turns] * count
    path.write_text(json.dumps([turns, turns]))
    assert [record.value for record in read_records(path)] == [turns] * 2


BAD = {
    "a.jsonl": (b"", "is empty"),
    "blank.jsonl": (b"\n \n", "has no records"),
    "nothing.json": (b"[]", "has no records"),
    "middle.jsonl": (lines(ROWS[:1]) + b"{\n" + lines(ROWS[1:]), "line 2: not JSON"),
    "last.jsonl": (lines(ROWS)[:-9], "line 3: not JSON: .* it is the last line, which may have been cut off"),
    "array.json": (json.dumps(ROWS, indent=1).encode()[:-9], "neither JSON lines nor a JSON array"),
    "object.json": (json.dumps(ROWS[0], indent=1).encode(), r"is no list of records \(it has problem, answer, other\)"),
    "cut.jsonl.gz": (gzip.compress(lines(ROWS))[:-12], "the gzip file is damaged or cut off"),
    "head.jsonl.gz": (gzip.compress(lines(ROWS))[:9], "the gzip file is damaged or cut off"),
    "a.parquet": (b"PAR1 and nothing else", "cannot be read"),
    "b.parquet": (lines(ROWS), "is no parquet file, whatever its name says"),
    "a.zst": (b"\x28\xb5\x2f\xfd....", "is compressed with zstd; unpack it"),
    "lfs.parquet": (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer, not the data"),
    "page.jsonl": (b"<!DOCTYPE html><html>", "is a web page"),
    "latin.jsonl": ('{"problem": "é"}\n'.encode("latin-1"), "line 1: not JSON"),
    "nul.jsonl": (lines(ROWS).decode().encode("utf-16-le"), "has NUL bytes"),
    "a.pkl": (b"\x80\x04\x95", "a Python pickle, which could run code"),
    "digits.jsonl": (b'{"problem": "?", "answer": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
    "deep.jsonl": (b"[" * 100_000, "line 1: not JSON"),
    "wide.csv": (b"problem,answer\n1,2,3\n", "row 1: has more cells than the header"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as failure:
        list(read_records(tmp_path / name))
    assert str(tmp_path / name) in str(failure.value) and "\n" not in str(failure.value)


def test_no_file_or_a_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(read_records(tmp_path / "absent.jsonl"))
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match=r"is a folder \(a.txt\); name a file"):
        list(read_records(tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["a.jsonl", "a.parquet", "a.csv", "a.json.gz"]), st.booleans())
def test_no_bytes_raise_anything_else(tmp_path, content, name, packed):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if packed else content)
    try:
        list(read_records(path))
    except DataError as error:
        assert "\n" not in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(JSON, min_size=1, max_size=4), st.data())
def test_no_cut_raises_anything_else(tmp_path, rows, data):
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        list(read_records(path))
    except DataError as error:
        assert "\n" not in str(error)
