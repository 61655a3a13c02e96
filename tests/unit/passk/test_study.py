"""The report of several methods with several seeds."""

import json
import random

import pytest

from passk.study import SeedRun, write_study
from passk.tally import tally
from tests.unit.passk.files import complete, write

QUESTIONS, SAMPLES, STEPS = 12, 8, 6


def samples(path, chance: float):
    rng = random.Random(path.name)
    return tally(write(path, complete([[rng.random() < chance for _ in range(SAMPLES)] for _ in range(QUESTIONS)])))


def training(path, skipped: int | None = None):
    steps = [{"step": 0, "val-core/entropy": 0.5}]
    for step in range(1, STEPS + 1):
        counts = {"rlvr/correct_count": 6, "rlvr/incorrect_count": 10, "rlvr/kept_count": 6, "rlvr/questions": 4}
        record = {
            "step": step,
            "rlvr/accuracy": step / 10,
            "rlvr/fully_solved": 1,
            "rlvr/response_length": 20.0,
        } | counts
        if step != skipped:
            record |= {"actor/entropy": 0.3, "actor/pg_clipfrac": 0.01}
        if step == STEPS:
            record["val-core/entropy"] = 0.25
        steps.append(record)
    path.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return path


def test_study(tmp_path):
    base = samples(tmp_path / "base.jsonl", 0.2)
    methods = {
        name: [
            SeedRun(
                seed, samples(tmp_path / f"{name}{seed}.jsonl", chance), training(tmp_path / f"{name}{seed}.metrics")
            )
            for seed in (1, 2)
        ]
        for name, chance in {"psr": 0.9, "nsr": 0.5}.items()
    }
    lines = write_study(base, methods, tmp_path / "report", "Title <b>")

    text = (tmp_path / "report" / "tables.md").read_text()
    assert text.splitlines() == lines
    assert "| base (1) |" in text and "| psr (2) |" in text and "| nsr − psr |" in text
    assert "| 25 → 40 |" in text  # accuracy: mean of steps 1 to 4, and of 2 to 6
    assert "| 0.5 → 0.25 |" in text  # entropy: validation before training and after it
    assert "37.5 → 37.5" in text  # 6 of 16 samples kept
    for picture in ("pass_at_k.png", "differences.png", "methods.png", "training.png"):
        assert (tmp_path / "report" / picture).read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<h2>Training</h2>" in page and "Title &lt;b&gt;" in page
    record = json.loads((tmp_path / "report" / "metrics.json").read_text())
    of = {one["name"]: one["pass_at_k"]["1"]["value"] for one in record["estimates"]}
    seeds = [one["pass@1"] for one in record["seeds"]["psr"]]
    assert of["psr"] == pytest.approx(sum(seeds) / 2)
    [difference] = [one for one in record["differences"] if (one["name"], one["baseline"]) == ("psr", "base")]
    assert difference["pass_at_k"]["1"]["value"] == pytest.approx(of["psr"] - of["base"])
    assert difference["pass_at_k"]["1"]["low"] > 0


def test_a_skipped_step_has_a_gap(tmp_path):
    base = samples(tmp_path / "base.jsonl", 0.2)
    run = SeedRun(1, samples(tmp_path / "psr.jsonl", 0.3), training(tmp_path / "metrics", skipped=3))
    lines = write_study(base, {"psr": [run]}, tmp_path / "report", "one method")
    assert not any("between methods" in line for line in lines)
    assert not any("nan" in line for line in lines)


def test_other_questions_are_refused(tmp_path):
    base = samples(tmp_path / "base.jsonl", 0.2)
    other = tally(write(tmp_path / "other.jsonl", complete([[True] * SAMPLES] * 3)))
    with pytest.raises(ValueError, match="does not ask the questions"):
        write_study(base, {"psr": [SeedRun(1, other, training(tmp_path / "metrics"))]}, tmp_path / "report", "title")
