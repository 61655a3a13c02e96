"""``python -m rlvr.tiny``: what is refused before anything is made."""

import pytest

from rlvr.tiny.__main__ import FILES, main


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["rlvr.tiny", *map(str, arguments)])
    main()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--steps", "0"), "--steps 0: give 1 or more"),
        (("--steps", "-5"), "--steps -5: give 1 or more"),
        (("--output", "file"), "file: is a file, no folder"),
        (("--output", "file/below"), "file: is a file, no folder"),
    ],
)
def test_what_cannot_be_made(monkeypatch, tmp_path, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_what_is_there_is_left_alone_and_what_is_not_complete_is_named(monkeypatch, tmp_path, capsys):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    call(monkeypatch, "--output", tmp_path)
    assert "is there already" in capsys.readouterr().out
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(SystemExit):
        call(monkeypatch, "--output", tmp_path)
    assert "is there without test.parquet; delete it to make it anew" in capsys.readouterr().err
