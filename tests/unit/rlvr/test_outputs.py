"""Whether a command can write where it is to."""

from pathlib import Path

import pytest

from rlvr import outputs
from rlvr.outputs import check_file, check_folder
from rlvr.records import DataError


def test_what_can_be_written_leaves_nothing_behind(tmp_path):
    check_folder(tmp_path / "not" / "there" / "yet")
    check_file(tmp_path / "not" / "there.jsonl")
    check_file(tmp_path / "there.jsonl", tmp_path / "another.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_may_be_replaced(tmp_path):
    (there := tmp_path / "there.jsonl").write_text("1")
    check_file(there, tmp_path / "another.jsonl")
    assert there.read_text() == "1"


def test_the_input_is_not_overwritten_by_whatever_name(tmp_path):
    (source := tmp_path / "a.jsonl").write_text("1")
    (tmp_path / "link.jsonl").symlink_to(source)
    for name in ("a.jsonl", "link.jsonl", "x/../a.jsonl"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(DataError, match="is the input, which would be overwritten; choose another"):
            check_file(tmp_path / name, source)


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path):
    with pytest.raises(DataError, match="is a folder; name a file"):
        check_file(tmp_path)
    (file := tmp_path / "file").touch()
    for check in (check_folder, check_file):
        with pytest.raises(DataError, match=r"file: is a file, no folder; choose"):
            check(file / "below" / "it")


def test_where_nothing_can_be_written():
    """Linux lets nobody, root included, make files here."""
    with pytest.raises(DataError, match=r"/proc: cannot be written to: .+; choose"):
        check_folder(Path("/proc/rlvr"))


def test_without_the_right_to_write(tmp_path, monkeypatch):
    (file := tmp_path / "file").touch()
    monkeypatch.setattr(outputs.os, "access", lambda path, mode: path != file)  # root may write everywhere
    with pytest.raises(DataError, match="file: cannot be written to; choose"):
        check_file(file)
