"""An evaluation on two Ray nodes of one machine, without GPUs: replicas and a node are killed, and the driver; nothing is lost.

The engines have no model (tests/unit/passk/fake_engine.py), so that each part of it takes seconds; the first test is a real one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from passk.storage import read_lines
from tests.integration.test_evaluation import command
from tests.integration.two_nodes import HANGS_S, TwoNodes

pytestmark = pytest.mark.timeout(4 * HANGS_S)

QUESTIONS, SAMPLES, STEPS = 80, 4, 3  # a replica answers two questions a step, then it waits


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[TwoNodes]:
    nodes = TwoNodes(tmp_path_factory.mktemp("nodes"), gpus=0)
    try:
        nodes.add_worker()
        assert nodes.wait(f"--timeout={HANGS_S // 2}").returncode == 0
        yield nodes
    finally:
        nodes.close()


def evaluate(nodes: TwoNodes, output: Path, *arguments: str) -> tuple[subprocess.Popen, Path]:
    """Start an evaluation; (its driver, its log)."""
    output.mkdir(exist_ok=True)
    log = output / "log.txt"
    environment = nodes.environment | {"RAY_ADDRESS": nodes.address}
    return nodes.start_driver([*arguments], log, environment), log


def until(condition: Callable[[], object], driver: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + HANGS_S
    while not condition():
        assert driver.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.05)


def processes(path: Path) -> dict[int, int]:
    """Questions that each replica's process has answered, of those that are stored."""
    counts: dict[int, int] = {}
    stored = path.read_text() if path.exists() else ""
    for process in re.findall(r'"generation_id": 0, .*? process (\d+) ', stored):
        counts[int(process)] = counts.get(int(process), 0) + 1
    return counts


def is_everything_there_once(path: Path, questions: int, samples: int) -> bool:
    found = sorted((one["question_id"], one["generation_id"]) for one in read_lines(path))
    return found == [(question, number) for question in range(questions) for number in range(samples)]


def test_a_real_engine_on_each_node(nodes, tiny, tmp_path):
    """Before a node is lost: for some seconds Ray lists a lost one as alive, and a start asks every node that is."""
    questions, samples = 64, 8
    driver, log = evaluate(nodes, tmp_path / "out", *command(tiny / "model", tmp_path / "out", f"--limit={questions}"))
    assert driver.wait(timeout=HANGS_S) == 0, log.read_text()[-4000:]
    assert "2 replicas: 2 on " in log.read_text()
    path = tmp_path / "out" / f"{tiny.name}-test.jsonl"
    assert is_everything_there_once(path, questions, samples)
    assert json.loads(path.with_suffix(".manifest.json").read_text())["settings"]["dtype"] == "float32"


def test_replicas_a_node_and_the_driver_are_killed(nodes, tmp_path):
    dataset = tmp_path / "questions.jsonl"
    rows = [
        {"question": f"1,{q}->{q + 1}", "answer": str(q + 1), "data_source": "rlvr/countdown"} for q in range(QUESTIONS)
    ]
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output, path = tmp_path / "out", tmp_path / "out" / "out.jsonl"
    program = [sys.executable, "-m", "tests.unit.passk.fake_engine", str(dataset), str(output), str(SAMPLES), "0"]
    program += [str(STEPS)]

    # Both nodes work. One replica is killed: it is started again, and others answer what it had.
    driver, log = evaluate(nodes, output, *program)
    until(lambda: len(processes(path)) == 2, driver, log)
    first, _ = processes(path)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(processes(path)) == 3, driver, log)
    assert log.read_text().count("is gone, its questions are dealt again") == 1
    # The driver is killed; the same command goes on, on the nodes that its replicas had.
    driver.kill()
    driver.wait()
    before = path.read_bytes()
    driver, log = evaluate(nodes, output, *program)
    seen = processes(path).keys()
    until(lambda: len(processes(path).keys() - seen) == 2, driver, log)
    # A node is lost; the other one goes on. It comes back and works again.
    assert nodes.worker is not None
    family = {process.pid for process in psutil.Process(nodes.worker.pid).children(recursive=True)}
    assert len(family & processes(path).keys()) == 1
    nodes.lose_worker()
    until(lambda: "is gone, its questions are dealt again" in log.read_text(), driver, log)
    nodes.add_worker()
    seen = processes(path).keys()
    until(lambda: processes(path).keys() - seen, driver, log)
    (output / "go").touch()
    assert driver.wait(timeout=HANGS_S) == 0, log.read_text()[-4000:]

    assert path.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    assert is_everything_there_once(path, QUESTIONS, SAMPLES)
    starts = json.loads((output / "out.manifest.json").read_text())["starts"]
    assert [start["questions_before"] > 0 for start in starts] == [False, True]
    assert [len(start["nodes"]) for start in starts] == [2, 2]
