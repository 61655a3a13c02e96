"""What the fault storm would say of a run that lost something."""

import json

import pytest

from rlvr.sample_files import TRAIN, Sample, path_of, write
from tests.bench import fault_storm
from tests.bench.fault_storm import QUESTIONS, N, kind_of, wrong_metrics, wrong_samples

STEPS = 3


def sample(step: int, question: int) -> Sample:
    return Sample(
        step=step,
        split=TRAIN,
        question_id=f"{question:016x}",
        group=f"group {question}",
        question=f"question {question}",
        answer="1",
        extracted="1",
        gold="1",
        correct=True,
        layer=None,
        kind=None,
        kept=True,
        advantage=0.0,
        tokens=1,
        finish_reason="stop",
        log_prob=None,
        entropy=None,
    )


@pytest.fixture
def run(tmp_path):
    """What a run leaves that lost nothing."""
    lines = [json.dumps({"step": step}) + "\n" for step in range(1, STEPS + 1)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    for step in range(1, STEPS + 1):
        asked = range(QUESTIONS * step, QUESTIONS * (step + 1))
        write(tmp_path, TRAIN, step, [sample(step, question) for question in asked for _ in range(N)])
    return tmp_path


def test_a_run_that_lost_nothing(run):
    assert wrong_metrics(run, STEPS) == wrong_samples(run, STEPS) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"step": 1}\n{"step": 3}\n', "the steps [1, 3]"),
        ('{"step": 1}\n{"step": 2}\n{"step": 2}\n{"step": 3}\n', "the steps [1, 2, 2, 3]"),
        ('{"step": 1}\n{"step": 2}\n{"step": 3}', "the last line is cut"),
        ('{"step": 1}\n{"st\n{"step": 3}\n', "Unterminated string"),
    ],
)
def test_a_line_is_missing_there_twice_or_cut(run, text, said):
    (run / "metrics.jsonl").write_text(text)
    assert said in wrong_metrics(run, STEPS)[0]


def test_samples_are_missing_or_those_of_another_step(run):
    file = path_of(run, TRAIN, 2)
    whole = file.read_bytes()
    file.write_bytes(whole[whole.index(b"\n") + 1 :])
    assert f"groups of {sorted([N - 1] + [N] * (QUESTIONS - 1))} samples" in wrong_samples(run, STEPS)[0]
    file.write_bytes(path_of(run, TRAIN, 3).read_bytes())
    found = wrong_samples(run, STEPS)
    assert "samples of the steps [3]" in found[0] and f"{QUESTIONS} questions were asked twice" in found[1]
    file.rename(file.with_name("train_000002.jsonl.unfinished"))
    assert "lacks ['train_000002.jsonl'] and has also ['train_000002.jsonl.unfinished']" in wrong_samples(run, STEPS)[0]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["ray::WorkerDict.actor_rollout_update_actor"], "ray::WorkerDict"),
        (["ray::IDLE"], "ray::IDLE"),
        (["/site-packages/ray/core/src/ray/raylet/raylet", "--session=x.py"], "raylet"),
        (["python", "-I", "-S", "/rlvr/cpu/launch_worker.py", "/socket", "default_worker.py"], "launch_worker.py"),
        (["python3", "-m", "rlvr.cpu.forkserver", "4", "7"], "rlvr.cpu.forkserver"),
    ],
)
def test_kinds_of_processes(words, kind):
    assert kind_of(words) == kind


def test_an_exit_code_must_say_start_it_again_and_a_line_why(tmp_path):
    log = tmp_path / "log"
    log.write_text("watchdog: stopping the run with exit code 76: it failed because of this loss\n")
    assert fault_storm.Storm._end(0, log) == fault_storm.Storm._end(76, log) == []
    assert fault_storm.Storm._end(75, log) == ["exit code 75, and no line of the watchdog says why"]
    assert fault_storm.Storm._end(1, log)[0] == "exit code 1"
