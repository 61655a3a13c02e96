"""Flags are checked, all of them, before the function runs."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from passk import command_line

ran: list[tuple] = []


def work(
    model: str | Sequence[str],
    folder: str,
    limit: Annotated[int, Meta(ge=1)] | None = None,
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0,
    dtype: Literal["auto", "float32"] = "auto",
    kinds: Mapping[str, str] | None = None,
    strict: bool = False,
) -> None:
    """Do the work.

    Args:
        model: one or several.
        folder: where it goes.
        limit: only so many.
    """
    ran.append((model, folder, limit, share, dtype, kinds, strict))


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


def call(monkeypatch, *flags):
    monkeypatch.setattr("sys.argv", ["work", *flags])
    command_line.run(work, "work")


@pytest.mark.parametrize(
    ("flags", "as_read"),
    [
        (["--model=m", "--folder=f"], ("m", "f", None, 1.0, "auto", None, False)),
        (["m", "2024", "--limit", "3"], ("m", "2024", 3, 1.0, "auto", None, False)),
        (["--model=a=x,b=y", "--folder", "f", "--share=1"], ("a=x,b=y", "f", None, 1.0, "auto", None, False)),
        (["m", "f", "--kinds", '{"my/*": "math"}'], ("m", "f", None, 1.0, "auto", {"my/*": "math"}, False)),
        (["m", "f", "--strict", "--dtype=float32"], ("m", "f", None, 1.0, "float32", None, True)),
    ],
)
def test_flags_as_fire_reads_them(monkeypatch, flags, as_read):
    call(monkeypatch, *flags)
    assert ran == [as_read]


def test_several_values(monkeypatch):
    call(monkeypatch, "--model", "a,b", "--folder", "f")
    assert list(ran[0][0]) == ["a", "b"]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--limit=0", "work: --limit 0: expected int >= 1"),
        ("--limit=2.5", "work: --limit 2.5: expected int, got float"),
        ("--limit", "work: --limit True: expected int, got bool"),
        ("--share=nan", "work: --share nan: expected float, got str"),
        ("--share=1.5", "work: --share 1.5: expected float <= 1.0"),
        ("--dtype=int8", "work: --dtype int8: choose one of auto, float32"),
        ("--kinds=math", "work: --kinds math: expected object, got str"),
        ("--strict=yes", "work: --strict yes: expected bool, got str"),
    ],
)
def test_a_wrong_value_is_one_line_and_nothing_runs(monkeypatch, capsys, flag, said):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "m", "f", flag)
    assert ended.value.code == 2 and ran == []
    assert capsys.readouterr().err == said + "\n"


@pytest.mark.parametrize(
    "flags", [["m", "f", "--limits=3"], ["m"], ["m", "f", "3", "0.5", "auto", "None", "False", "x"]]
)
def test_what_is_misspelt_missing_or_too_much_runs_nothing(monkeypatch, capsys, flags):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *flags)
    assert ended.value.code == 2 and ran == [] and "ERROR" in capsys.readouterr().err


def test_help_names_flags_and_types(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "--help")
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert ended.value.code == 0 and ran == []
    assert "Do the work." in text and "only so many" in text and "Type: Optional[int | None]" in text
