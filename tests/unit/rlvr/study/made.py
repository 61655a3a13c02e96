"""Studies for the tests: a small specification, and programs that stand in for a launcher and for ``passk.generate``.

The stand-ins write what the real ones leave, in a moment: weights and ``metrics.jsonl``; complete files of samples whose chance of
being right depends on the method and the step, so that paths rise in pass@1 and fall in pass@k.
"""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

from rlvr.study.commands import weights_of
from tests.unit.passk.files import complete, write

QUESTIONS, SAMPLES = 12, 8
HEADER = """
title: A made-up study
output: OUTPUT
base_model: BASE
device: cpu
seeds: 2
training: {launcher: 'run_tiny_{config}.sh', steps: 4, checkpoints: [2, 4], settings: {trainer.test_freq: 2}}
evaluation: {datasets: {countdown: held/test.parquet}, questions: 12, samples: 8, ks: [2, 8], prompt_template_type: countdown,
             max_tokens: 32, temperature: 0.6, top_p: 0.95}
methods:
  psr: {settings: {algorithm.advantage: positive}}
  nsr: {settings: {algorithm.advantage: negative}}
arms:
  first: {methods: [psr, nsr], reference: psr, tuned: rates}
  fixed: {methods: [nsr], reference: nsr, learning_rate: 6e-5}
tuning: {dataset: held/tune.parquet, questions: 12, samples: 4, within: 0.01, learning_rates: {rates: [6e-5, 1e-4]}}
quick: {learning_rate: 1e-4, checkpoints: [4], questions: 6, samples: 4}
measured: {train_start_s: 10, step_s: 1, evaluation_start_s: 5, answers_per_s: 100, jobs: 1, checkpoint_mb: 5}
claims:
  - {text: NSR wins, arm: first, method: nsr, minus: psr, figure: pass@k, k: 8, where: matched, counts_as: above}
  - {text: NSR keeps entropy, arm: first, method: nsr, minus: base, figure: entropy, where: last, counts_as: kept, margin: 0.05}
"""


def specification(folder: Path, text: str = HEADER) -> Path:
    """A specification in ``folder``, with a base model beside it."""
    base = folder / "base"
    base.mkdir(exist_ok=True)
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"base")
    file = folder / "made.yaml"
    file.write_text(text.replace("OUTPUT", str(folder / "runs")).replace("BASE", str(base)))
    return file


class Programs:
    """Stands in for :mod:`rlvr.study.commands`' two programs; ``started`` is what was asked of it."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def train(
        self, command: Sequence[str], folder: Path, steps: int, progress: object, lock: int | None = None
    ) -> None:
        self.started.append(f"train {folder.name}")
        folder.mkdir(parents=True, exist_ok=True)
        log = [{"step": 0, "val-core/entropy": 0.2}]
        for step in range(1, steps + 1):
            counts = {"rlvr/correct_count": 4, "rlvr/incorrect_count": 12, "rlvr/kept_count": 4, "rlvr/questions": 4}
            log.append(
                {"step": step, "rlvr/accuracy": 0.25, "response_length/mean": 10.0, "rlvr/fully_solved": 1} | counts
            )
            if step % 2 == 0:
                weights = weights_of(folder, step)
                weights.mkdir(parents=True)
                (weights / "config.json").write_text("{}")
                (weights / "model.safetensors").write_bytes(f"{folder.name} {step}".encode())
                (weights.parent / "model_world_size_1_rank_0.pt").write_bytes(b"shard")
                log[-1]["val-core/entropy"] = 0.2 - 0.01 * step
        (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in log))

    def evaluate(self, command: Sequence[str], log: Path | None = None) -> None:
        flags = dict(word.removeprefix("--").split("=", 1) for word in command[3:])
        models = flags["model_name"].split(",")
        named = dict(one.split("=", 1) for one in models) if len(models) > 1 else {"": models[0]}
        self.started.append(f"answer {' '.join(named.values())}")
        for name, model in named.items():
            folder = Path(flags["output_dir"]) / name
            folder.mkdir(parents=True, exist_ok=True)
            dataset = flags["datasets"]
            file = folder / f"{Path(dataset).parent.name}-{Path(dataset).stem}.jsonl"
            samples, questions = int(flags["num_generation"]), int(flags["limit"])
            write(file, complete(labels(model, questions, samples)))


def labels(model: str, questions: int, samples: int) -> list[list[bool]]:
    """Half of the questions get easier with the steps, the others harder: more so for PSR, and at the higher rate."""
    found = re.search(r"(psr|nsr|solvable)-.*lr(\S+?)-seed\d/global_step_(\d+)", model)
    step = int(found[3]) if found else 0
    speed = 0.0 if not found else (0.12 if found[1] == "psr" else 0.1) * (1.2 if found[2] == "1e-4" else 1.0)
    # Of the model, not of the folder that it is in, whose name changes from test to test.
    rng = random.Random(f"{found[0] if found else 'base'} {questions} {samples}")
    easy, hard = 0.3 + speed * step, max(0.02, 0.3 - 0.6 * speed * step)
    return [[rng.random() < (easy if q % 2 else hard) for _ in range(samples)] for q in range(questions)]
