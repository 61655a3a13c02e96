"""Kill an evaluation at random moments, start the same command again, and prove that nothing is lost and nothing is there twice.

    python tests/bench/kill_storm.py stand-in --kills 1000     # an engine without a model: tests/unit/passk/fake_engine.py
    python tests/bench/kill_storm.py real --kills 100          # vLLM on the tiny model (python -m rlvr.tiny makes it)

A round is an evaluation in a folder of its own, killed with SIGKILL (the whole process group) and started again until it is done;
rounds follow until there were so many kills. Every second kill falls anywhere in the length of an undisturbed run, its start
included; the others after the file has grown, as much of a real run is its start and its end.
After each kill every question that was ever complete must be there, byte for byte; after each round every sample once. Runs are
forked from a process that has imported everything, as that is most of a start. Deliberately left out: power cuts (the store syncs
once a second).
"""

import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import fire

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from rlvr.cpu.forkserver import die_with  # noqa: E402

Run = Callable[[Path], None]  # an evaluation into a folder, as OUT.jsonl


class Lost(AssertionError):
    """What was stored is not there any more, or is there twice."""


def stand_in(
    kills: int = 100,
    seconds: float = math.inf,
    seed: int = 0,
    questions: int = 60,
    samples: int = 8,
    step_s: float = 0.002,
) -> None:
    """Kill evaluations whose engine has no model; no round begins after ``seconds``."""
    from passk.grade import installed_grader
    from rlvr.versions import versions
    from tests.unit.passk.fake_engine import fake_engine, run

    with tempfile.TemporaryDirectory() as name:
        dataset = Path(name) / "questions.jsonl"
        rows = [
            {"question": f"1,{q}->{q + 1}", "answer": str(q + 1), "data_source": "rlvr/countdown"}
            for q in range(questions)
        ]
        dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
        engine = partial(fake_engine, delay=step_s)
        # What an evaluation loads late, for the forks. It must not run here: they would share the lock of its bar.
        installed_grader().grade("rlvr/countdown", {"question": "1,2->3", "target": "3"}, ["1+2"])
        versions()

        def evaluate(folder: Path) -> None:
            run(str(dataset), folder, samples, engine)

        Storm(evaluate, questions, samples, seed, Path(name)).until(kills, seconds)


def real(
    kills: int = 10,
    seconds: float = math.inf,
    seed: int = 0,
    model: str = "data/tiny/model",
    questions: int = 256,
    samples: int = 8,
) -> None:
    """Kill evaluations of a real model on real vLLM; no round begins after ``seconds``."""
    from passk.collect import Task
    from passk.engine import CPU_ENVIRONMENT
    from passk.generate import evaluate_model
    from passk.presets import Sampling
    from passk.questions import load_questions

    os.environ.update(CPU_ENVIRONMENT, OMP_WAIT_POLICY="passive", TORCH_CPP_LOG_LEVEL="ERROR")
    import vllm.v1.engine.llm_engine  # noqa: F401  (for the forks)

    dataset = str(Path(model).parent / "test.parquet")
    asked = load_questions(dataset, "test")[:questions]
    sampling = Sampling("countdown", 40, num_generation=samples, temperature=1.0)

    def evaluate(folder: Path) -> None:
        task = Task(dataset, folder / "out.jsonl", asked)
        evaluate_model(model, [task], sampling, "float32", 0, questions, 1, 4, kv_cache_gib=0.25)

    with tempfile.TemporaryDirectory() as name:
        Storm(evaluate, questions, samples, seed, Path(name)).until(kills, seconds)


class Storm:
    """Rounds of kills; ``until`` prints what they showed."""

    def __init__(self, evaluate: Run, questions: int, samples: int, seed: int, folder: Path) -> None:
        self.evaluate, self.questions, self.samples, self.folder = evaluate, questions, samples, folder
        self.draw = random.Random(seed)
        self.kills, self.rounds, self.cut = 0, 0, 0
        self.at: list[float] = []  # share of the questions that were stored when a kill fell

    def until(self, kills: int, seconds: float) -> None:
        began = time.monotonic()
        whole = min(self._undisturbed(number) for number in range(3))
        while self.kills < kills and time.monotonic() < began + seconds:
            self._round(kills, whole)
            print(f"{self.kills} of {kills} kills, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        self._say(whole, time.monotonic() - began)

    def _undisturbed(self, number: int) -> float:
        """How long an evaluation takes, in seconds."""
        began = time.monotonic()
        process, log = self._start(f"undisturbed{number}")
        self._wait(process, log)
        seconds = time.monotonic() - began
        self.verify(self.folder / f"undisturbed{number}")
        return seconds

    def _say(self, whole: float, seconds: float) -> None:
        stored = {"none": 0, "a quarter": 0, "half": 0, "three quarters": 0, "all": 0}
        for share in self.at:
            stored[list(stored)[math.ceil(4 * share)]] += 1
        print(
            f"{self.kills} kills in {self.rounds} evaluations of {self.questions} questions × {self.samples} samples, each "
            f"{whole:.1f} s undisturbed, {seconds:.0f} s in all: nothing lost, nothing twice"
        )
        print(
            "kills by how many of the questions were stored, up to", ", ".join(f"{k}: {n}" for k, n in stored.items())
        )
        print(f"kills that left a part of a question behind: {self.cut}")

    def _round(self, kills: int, whole: float) -> None:
        name = f"round{self.rounds}"
        self.rounds += 1
        complete = b""
        while True:
            process, log = self._start(name)
            if self.kills == kills:
                self._wait(process, log)
                break
            self._wait_for_a_moment(self.folder / name / "out.jsonl", whole)
            os.killpg(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            if not os.WIFSIGNALED(status):
                self._check_exit(status, log)
                break
            self.kills += 1
            complete = self.still_there(self.folder / name, complete)
        self.verify(self.folder / name)
        shutil.rmtree(self.folder / name)

    def _wait_for_a_moment(self, path: Path, whole: float) -> None:
        if self.draw.random() < 0.5:
            time.sleep(self.draw.uniform(0, whole))
            return
        began, size = time.monotonic(), size_of(path)
        while size_of(path) <= size and time.monotonic() < began + 2 * whole:
            time.sleep(0.001)
        time.sleep(self.draw.uniform(0, self.draw.uniform(0, whole)))

    def _start(self, name: str) -> tuple[int, Path]:
        log = self.folder / f"{name}.log"
        parent = os.getpid()
        process = os.fork()
        if process:
            os.setpgid(process, process)
            return process, log
        code = 1
        try:
            os.setpgid(0, 0)
            die_with(parent)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            (self.folder / name).mkdir(exist_ok=True)
            self.evaluate(self.folder / name)
            code = 0
        except BaseException:  # noqa: BLE001  (a fork must not go on with what its parent does)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _wait(self, process: int, log: Path) -> None:
        _, status = os.waitpid(process, 0)
        self._check_exit(status, log)

    @staticmethod
    def _check_exit(status: int, log: Path) -> None:
        if status:
            raise SystemExit(f"an evaluation failed by itself:\n{log.read_text()[-4000:]}")

    def still_there(self, folder: Path, before: bytes) -> bytes:
        """The complete questions that are in the file now.

        Raises:
            Lost: if one that was complete is not there.
        """
        path = folder / "out.jsonl"
        now = path.read_bytes() if path.exists() else b""
        if not now.startswith(before):
            raise Lost(f"{path}: {len(before)} bytes of complete questions are not what they were")
        lines = now.split(b"\n")[:-1]
        whole = len(lines) // self.samples
        complete = b"".join(line + b"\n" for line in lines[: whole * self.samples])
        self.cut += len(now) > len(complete)
        self.at.append(whole / self.questions)
        return complete

    def verify(self, folder: Path) -> None:
        """Every sample of every question is there, once.

        Raises:
            Lost: if not.
        """
        from passk.tally import tally

        path = folder / "out.jsonl"
        found = Counter()
        for line in path.read_text().split("\n")[:-1]:
            sample = json.loads(line)
            found[sample["question_id"], sample["generation_id"]] += 1
        wanted = {(question, number) for question in range(self.questions) for number in range(self.samples)}
        if found.keys() != wanted or set(found.values()) != {1}:
            raise Lost(
                f"{path}: {len(wanted - found.keys())} samples are missing, {len(found.keys() - wanted)} are foreign"
            )
        problems = tally(path).problems
        if problems:
            raise Lost(f"{path}: {problems}")
        starts = json.loads((folder / "out.manifest.json").read_text())["starts"]
        seeds = {start["questions_before"]: start["engine_seed"] for start in starts}
        if len(set(seeds.values())) < len(seeds):
            raise Lost(f"{path}: the same random numbers were drawn for other questions")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    fire.Fire({"stand-in": stand_in, "real": real})
