"""What the quickstart and the paper in miniature say when a part of them fails."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def tiny_runs(script):
    return script("tiny_runs")


@pytest.fixture
def failing(monkeypatch):
    """Every command writes two lines and ends with 3."""
    run = subprocess.run

    def fail(command, **kwargs):
        script = "import sys; print('said'); print('complained', file=sys.stderr); sys.exit(3)"
        return run([sys.executable, "-c", script], **kwargs)

    monkeypatch.setattr(subprocess, "run", fail)


def evaluate(tiny_runs, log):
    return tiny_runs.evaluate(
        tiny_runs.TINY, {"base": Path("model")}, Path("test.parquet"), Path("out"), 4, 4, 1.0, 1.0, log
    )


def test_an_evaluation_without_a_log_fails_as_documented(tiny_runs, failing, capfd):
    with pytest.raises(tiny_runs.RunFailed, match=r"evaluation failed with exit code 3$"):
        evaluate(tiny_runs, None)
    assert capfd.readouterr() == ("said\n", "complained\n"), "where people see it"


def test_an_evaluation_with_a_log_fails_with_the_end_of_it(tiny_runs, failing, tmp_path):
    log = tmp_path / "evaluation.log"
    with pytest.raises(tiny_runs.RunFailed) as failure:
        evaluate(tiny_runs, log)
    assert "complained" in str(failure.value)
    assert str(log) in str(failure.value)
    assert "said" in log.read_text()


def test_a_base_that_cannot_be_made(tiny_runs, failing):
    with pytest.raises(tiny_runs.RunFailed, match="making the tiny model failed with exit code 3"):
        tiny_runs.make_base()
