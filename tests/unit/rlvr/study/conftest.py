"""A study whose programs are stand-ins, run by its own command line."""

import shlex
import sys
from collections.abc import Callable

import pytest

from rlvr.study import __main__ as command
from rlvr.study import commands, results
from tests.unit.rlvr.study.made import Programs, specification


@pytest.fixture
def programs(monkeypatch) -> Programs:
    stand_ins = Programs()
    monkeypatch.setattr(commands, "train", stand_ins.train)
    monkeypatch.setattr(commands, "evaluate", stand_ins.evaluate)
    for module in ("passk.frontier", "passk.seeds"):
        monkeypatch.setattr(f"{module}.RESAMPLES", 200)  # enough for what is shown here
    monkeypatch.setattr("passk.frontier.CHUNK", 200)
    return stand_ins


@pytest.fixture
def without_page(monkeypatch) -> None:
    """For tests that do not look at the page of results, whose pictures take most of a stand-in study's time."""
    monkeypatch.setattr(results, "write", lambda *_: ["(the page)"])


@pytest.fixture
def study(tmp_path, monkeypatch, programs, capsys) -> Callable[..., tuple[int, str, str]]:
    """``study("--quick")`` runs the made-up specification: (exit code, stdout, stderr)."""
    file = specification(tmp_path)

    def run(flags: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["study", str(file), *shlex.split(flags)])
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        code = command.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
