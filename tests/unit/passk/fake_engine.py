"""An engine without a model, and an evaluation with it as a program: what the tests of storage kill.

python -m tests.unit.passk.fake_engine DATASET.jsonl OUTPUT_DIR SAMPLES SECONDS_A_STEP [STEPS]

After STEPS an engine does nothing more until it is killed, or OUTPUT_DIR/go is there. With RAY_ADDRESS set, the replicas are Ray
actors.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

from passk.collect import Task
from passk.engine import Answers, Engine, EngineSettings, Generation, Request
from passk.generate import _cluster, evaluate_model
from passk.presets import Sampling
from passk.questions import load_questions


class FakeEngine:
    """Finishes two requests a step; answers with text that is awkward to store, and its process."""

    at_once, cache_tokens = 4, 4000

    def __init__(
        self, settings: EngineSettings, delay: float = 0.0, steps: int | None = None, go: Path | None = None
    ) -> None:
        self.settings, self.delay, self.most_steps, self.go = settings, delay, steps, go
        self.waiting: list[Request] = []
        self.steps = 0

    @property
    def unfinished(self) -> int:
        return len(self.waiting)

    @property
    def unfinished_samples(self) -> int:
        return sum(request.samples for request in self.waiting)

    def add(self, request: Request) -> None:
        self.waiting.append(request)

    def step(self) -> list[Answers]:
        self.steps += 1
        while self.most_steps is not None and self.steps > self.most_steps and not (self.go and self.go.exists()):
            time.sleep(0.05)
        time.sleep(self.delay)
        finished, self.waiting = self.waiting[:2], self.waiting[2:]
        text = f"\\boxed{{1+2}}\n\u2028é process {os.getpid()} " + "x" * 3000
        return [
            Answers(one.key, tuple(Generation(f"{one.prompt}{g}{text}", 7, "stop") for g in range(one.samples)))
            for one in finished
        ]


class DyingEngine(FakeEngine):
    """Ends its process in the middle, as an engine that is out of memory does."""

    def step(self) -> list[Answers]:
        sys.exit(3)


def fake_engine(settings: EngineSettings, **options) -> Engine:
    return FakeEngine(settings, **options)


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
    from tests.unit.passk import fake_engine as here  # under a name that Ray's workers can import

    output = Path(sys.argv[2])
    steps = int(sys.argv[5]) if len(sys.argv) > 5 else None
    engine = partial(here.fake_engine, delay=float(sys.argv[4]), steps=steps, go=output / "go")
    run(sys.argv[1], output, int(sys.argv[3]), engine, cluster=_cluster(None))
