"""What a launcher learns of how its driver ended (rlvr.operate.running)."""

import os
import subprocess
import sys

import pytest

from rlvr.operate import running


@pytest.mark.parametrize(
    ("ends", "left"), [("", False), ("sys.exit(1)", False), ("1 / 0", False), ("os._exit(1)", True)]
)
def test_the_launchers_file_is_left_where_python_does_not_end_the_driver(tmp_path, ends, left):
    file = tmp_path / "running"
    program = f"import os, sys\nfrom rlvr.operate.running import mark_running\nmark_running()\n{ends}"
    environment = os.environ | {running.RUNNING: str(file)}
    subprocess.run([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    assert file.exists() == left


def test_without_a_launcher_there_is_no_file(monkeypatch, tmp_path):
    monkeypatch.delenv(running.RUNNING, raising=False)
    monkeypatch.chdir(tmp_path)
    running.mark_running()
    assert not list(tmp_path.iterdir())
