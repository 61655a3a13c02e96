"""Made-up runs in the format of real ones: figures and samples agree with each other, and the model gets better."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvr.incorrect import KINDS
from rlvr.sample_files import Sample, write
from rlvr.training.metrics import lengths, sample_metrics

WORDS = (
    "so we take the sum of both sides and divide it by the number of terms, which gives a value that we check once more"
)
KINDS_DRAWN = ("wrong", "wrong", "wrong", "no_answer", "no_answer", "truncated", "unreadable", "grader_failed")
QUESTIONS = 400


def sample(**fields: Any) -> Sample:
    """A sample with sound fields; ``correct`` follows from ``kind``."""
    sound = {
        "step": 1,
        "split": "train",
        "question_id": "q0",
        "group": "g0",
        "question": "1 + 1 = ?",
        "answer": "it is 2",
        "extracted": "2",
        "gold": "2",
        "layer": "text",
        "kind": None,
        "kept": True,
        "advantage": 1.0,
        "tokens": 4,
        "finish_reason": "stop",
        "log_prob": -0.5,
        "entropy": 0.2,
    } | fields
    return Sample(**{"correct": sound["kind"] is None} | sound)


def make_run(
    run: Path, steps: int, seed: int = 0, test_freq: int = 4, groups: int = 16, samples: int = 8, words: int = 20
) -> Path:
    """A run of NSR in the folder ``run``: every sample of ``steps`` steps × ``groups`` questions × ``samples``, and validations."""
    run.mkdir(parents=True)
    config = {
        "trainer": {"total_training_steps": steps, "experiment_name": run.name, "samples_per_step": "all"},
        "algorithm": {"adv_estimator": "psr_nsr", "advantage": "negative", "sample_selection": "drop"},
        "data": {"train_batch_size": groups, "max_response_length": 2 * words},
        "actor_rollout_ref": {"model": {"path": "made/up"}, "rollout": {"n": samples, "temperature": 1.0 - seed / 10}},
    }
    (run / "config.yaml").write_text(json.dumps(config))  # which is YAML too
    start = {"time": "2026-11-29T12:00:00+0000", "resumed_from": 0, "versions": {"verl": "0.9.1", "python": "3.11.2"}}
    append(run / "starts.jsonl", start, start | {"resumed_from": 2})
    stood = ["no progress for 60 s: step 3, waiting in rollout and reward"]
    append(run / "watchdog.jsonl", {"time": "2026-11-29T12:01:00+0000", "step": 3, "lines": stood})
    for step in range(1, steps + 1):
        add_step(run, step, seed, groups, samples, words, validate=step == 1 or step % test_freq == 0)
    return run


def add_step(
    run: Path,
    step: int,
    seed: int = 0,
    groups: int = 16,
    samples: int = 8,
    words: int = 20,
    validate: bool = False,
) -> None:
    """A step more of the run in ``run``: its line of ``metrics.jsonl`` and its files of samples."""
    draws = random.Random(f"{seed} {step}")
    skill = 0.3 + 0.4 * (1 - math.exp(-step / 40)) + 0.05 * seed
    train = answers(draws, step, "train", draws.sample(range(QUESTIONS), groups), samples, skill, words)
    write(run, "train", step, train)
    row = {"step": step} | figures(step, train, entropy=0.2 + 0.3 * math.exp(-step / (30 + 20 * seed)))
    if validate:
        asked = range(QUESTIONS, QUESTIONS + groups // 2)
        tested = answers(draws, step, "validation", asked, samples, skill, words)
        write(run, "validation", step, tested)
        row |= {"val-core/made_up/pass@1": sum(one.correct for one in tested) / len(tested), "val-core/entropy": 0.3}
        row |= {"val-core/made_up/samples": len(tested), "val-core/made_up/questions": len(asked)}
    append(run / "metrics.jsonl", row)


def answers(
    draws: random.Random, step: int, split: str, questions: Sequence[int], samples: int, skill: float, words: int
) -> list[Sample]:
    """Samples of ``questions`` at a step whose policy has ``skill`` (0 to 1), with NSR's signs."""
    made = []
    for question in questions:
        gold, hardness = str(question * 7 % 100), question * 37 % 100 / 100
        for _ in range(samples):
            right = draws.random() < 1 / (1 + math.exp(6 * (hardness - skill)))
            kind = None if right else draws.choice(KINDS_DRAWN)
            said = {None: gold, "wrong": str(draws.randrange(100)), "unreadable": "4²²"}.get(kind)
            tokens = draws.randrange(words // 2, words * 2)
            text = " ".join(draws.choices(WORDS.split(), k=tokens)) + (f" \\boxed{{{said}}}" if said else "")
            learned = not right and split == "train"
            one = sample(
                step=step,
                split=split,
                question_id=f"{question:016x}",
                group=f"{split}-{step}-{question}",
                question=f"What is {question} times seven, modulo a hundred?",
                answer=text,
                extracted=said,
                gold=gold,
                layer="text" if said else None,
                kind=kind,
                kept=learned,
                advantage=-1.0 if learned else None,
                tokens=tokens,
                finish_reason="length" if kind == "truncated" else "stop",
                log_prob=-draws.random(),
                entropy=draws.random() / 4,
            )
            made.append(one)
    return made


def figures(step: int, samples: Sequence[Sample], entropy: float) -> dict[str, float]:
    """What training logs of a step with ``samples``."""
    correct, kept = [one.correct for one in samples], [one.kept for one in samples]
    found = sample_metrics([one.group for one in samples], correct, kept, kept, [one.kind for one in samples])
    found |= lengths([one.tokens for one in samples], correct)
    timeouts = sum(one.kind == "grader_failed" for one in samples) if step % 5 == 0 else 0
    return found | {
        "rlvr/pushed_up_count": 0,
        "rlvr/pushed_down_count": sum(kept),
        "rlvr/grader_timeouts": timeouts,
        "rlvr/grader_errors": 0,
        "rlvr/skipped_steps": float(step >= 7),
        "actor/entropy": entropy,
        "actor/grad_norm": 0.1 + entropy / 10,
        "actor/pg_clipfrac_positive": 0.0,
        "actor/pg_clipfrac_negative": 0.001 * step,
        "timing_s/gen": 4.0 + step / 100,
        "timing_s/adv": 0.2,
        "timing_s/update_actor": 3.0,
        "timing_s/step": 9.0 + step / 100,
        "timing_s/samples": 0.01,
    }


def append(path: Path, *records: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


assert set(KINDS_DRAWN) == set(KINDS)
