"""An engine without a model, and an evaluation with it as a program: what the tests of storage kill.

python -m tests.unit.passk.fake_engine DATASET.jsonl OUTPUT_DIR SAMPLES SECONDS_A_STEP [STEPS]

After STEPS it does nothing more, until it is killed.
"""

import sys
import time
from pathlib import Path

from passk.engine import Answers, Engine, EngineSettings, Generation
from passk.generate import Task, evaluate_model
from passk.presets import Sampling
from passk.questions import load_questions

DELAY = 0.0
STEPS: int | None = None


class FakeEngine:
    """Finishes two questions a step; answers with text that is awkward to store."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.waiting: list = []
        self.steps = 0

    @property
    def unfinished(self) -> int:
        return len(self.waiting)

    def add(self, key, prompt: str) -> None:
        self.waiting.append((key, prompt))

    def step(self) -> list[Answers]:
        self.steps += 1
        while STEPS is not None and self.steps > STEPS:
            time.sleep(60)
        time.sleep(DELAY)
        finished, self.waiting = self.waiting[:2], self.waiting[2:]
        n = self.settings.sampling.num_generation
        text = "\\boxed{1+2}\n\u2028é" + "x" * 3000
        return [
            Answers(key, tuple(Generation(f"{prompt}{g}{text}", 7, "stop") for g in range(n)))
            for key, prompt in finished
        ]


class DyingEngine(FakeEngine):
    """Ends its process in the middle, as an engine that is out of memory does."""

    def step(self) -> list[Answers]:
        sys.exit(3)


def fake_engine(settings: EngineSettings) -> Engine:
    return FakeEngine(settings)


def dying_engine(settings: EngineSettings) -> Engine:
    return DyingEngine(settings)


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"num_attention_heads": 4}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def run(dataset: str, output_dir: Path, samples: int, make_engine=fake_engine, **changes) -> None:
    sampling = Sampling("countdown", 16, num_generation=samples, temperature=1.0)
    model = make_model(output_dir / "model")
    questions = load_questions(dataset, "test", 1)
    settings = {"dtype": "auto", "seed": 0, "limit": None, "num_gpus": 1, "batch_size": 8} | changes
    evaluate_model(
        str(model), [Task(dataset, output_dir / "out.jsonl", questions)], sampling, make_engine=make_engine, **settings
    )


if __name__ == "__main__":
    DELAY = float(sys.argv[4])
    STEPS = int(sys.argv[5]) if len(sys.argv) > 5 else None
    run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
