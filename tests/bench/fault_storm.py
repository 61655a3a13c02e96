"""Kill random processes of a training, give the same command again until it is done, and prove that every step is there once.

    python -m rlvr.tiny                                                  # makes the tiny model
    python tests/bench/fault_storm.py --faults 200                       # run_tiny_psr_nsr.sh, 30 steps, on the real engine
    python tests/bench/fault_storm.py --faults 200 --seconds 480         # no fault after so long

Every few seconds a process of the run's tree except its driver gets SIGKILL: of every kind (Ray's own, workers, graders, the fork
server …) equally often, in the start too. Runs follow each other in folders of their own until so many faults were dealt, and the
last one is left to finish. After each end of the command: its exit code is one that says "start it again" and a line of the log
explains it, no process is left, and the run resumes no earlier than it could before. After each run: ``metrics.jsonl`` has every
step once, ``samples/`` every sample of every step and no question twice, and each checkpoint is complete and loads. Deliberately
left out: kills of the driver, whose exit code nobody could choose, and of whole nodes (tests/integration/test_two_nodes.py).
"""

import contextlib
import json
import logging
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import fire
import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from rlvr.cluster.exit_codes import WORTH_ANOTHER_START  # noqa: E402
from rlvr.cluster.ray_processes import RayProcesses  # noqa: E402

QUESTIONS, N = 8, 32  # of a step, and samples of each; the data has no more questions than 30 steps ask
SAVE_FREQ = 2
LEAVES_S = 60.0  # how long processes may take to end after the command
HANGS_S = 900.0  # without a fault; longer than the watchdog waits for a start
POLL_S = 0.1


def storm(
    faults: int = 200,
    seconds: float = math.inf,
    seed: int = 0,
    steps: int = 30,
    pause: tuple[float, float] = (5.0, 60.0),
    tiny: str = str(ROOT / "data" / "tiny"),
) -> None:
    """Deal ``faults``, ``pause`` seconds apart (drawn from this range); none after ``seconds``. Exit code 1 after a problem."""
    # What a dead parent leaves becomes a child of this process, so that the whole tree is always in sight.
    RayProcesses.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="fault-storm-"))
    one = Storm(folder, Path(tiny), steps, pause, seed)
    try:
        one.until(faults, seconds)
    finally:
        end_all(family())
    if one.problems:
        raise SystemExit(f"{len(one.problems)} problems, logs in {folder}:\n" + "\n".join(one.problems))
    shutil.rmtree(folder)


class Storm:
    """Runs under faults; ``until`` prints what they showed, ``problems`` is what should not be, in lines."""

    def __init__(self, folder: Path, tiny: Path, steps: int, pause: tuple[float, float], seed: int) -> None:
        self.folder, self.tiny, self.steps, self.pause = folder, tiny, steps, pause
        self.draw = random.Random(seed)
        self.faults: Counter[str] = Counter()  # by kind of process
        self.outlived: Counter[str] = Counter()  # those that did not end the command
        self.codes: Counter[int] = Counter()
        self.problems: list[str] = []
        self.runs = 0

    def until(self, faults: int, seconds: float) -> None:
        began = time.monotonic()
        self.left, self.last_fault_at = faults, began + seconds
        while self.left and time.monotonic() < self.last_fault_at:
            self._run()
        print(
            f"{self.faults.total()} faults in {self.runs} runs of {self.steps} steps, {self.codes.total()} starts, "
            f"{time.monotonic() - began:.0f} s: {len(self.problems)} problems"
        )
        print("exit codes:", ", ".join(f"{code} × {times}" for code, times in sorted(self.codes.items())))
        for kind, times in self.faults.most_common():
            print(f"killed {times} × {kind}, {self.outlived[kind]} of them without an end of the command")

    def _run(self) -> None:
        """One run, to its end."""
        run = self.folder / f"run{self.runs}"
        self.runs += 1
        resumes_at = 0
        for start in range(10**6):
            log = self.folder / f"{run.name}.{start}.log"
            code = self._start(run, log)
            self.codes[code] += 1
            found = [*self._end(code, log), *self._leftovers()]
            before, resumes_at = resumes_at, resume_step(run)
            if resumes_at < before:
                found.append(f"it resumes after step {resumes_at}, where it could after step {before}")
            if code == 0:
                found += proof(run, self.steps)
            self._report([f"{log.name}: {line}" for line in found])
            if code not in WORTH_ANOTHER_START:
                return

    def _report(self, found: list[str]) -> None:
        self.problems += found
        for line in found:
            print(f"PROBLEM {line}", flush=True)

    def _start(self, run: Path, log: Path) -> int:
        """Give the command and deal faults until it ends; returns its exit code."""
        with log.open("w") as out:
            process = subprocess.Popen(
                command(run, self.tiny, self.steps), cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
            )
        began = moved_at = time.monotonic()
        fault_at = began + self.draw.uniform(*self.pause)
        dealt: list[str] = []
        while (code := process.poll()) is None:
            time.sleep(POLL_S)
            bury(process.pid)
            now = time.monotonic()
            if now > moved_at + HANGS_S:
                self._report([f"{log.name}: it neither ends nor goes on"])
                process.kill()
            if now < fault_at:
                continue
            moved_at, fault_at = now, now + self.draw.uniform(*self.pause)
            if self.left and now < self.last_fault_at and (kind := self._fault(process.pid)):
                dealt.append(kind)
                print(f"{log.name}: {now - began:.0f} s, step {last_step(run)}: killed {kind}", flush=True)
        self.outlived.update(dealt[:-1] if code else dealt)
        print(f"{log.name}: {time.monotonic() - began:.0f} s, step {last_step(run)}: exit code {code}", flush=True)
        return code

    def _fault(self, launcher: int) -> str | None:
        """Kill a process; returns of what kind it was, None if there was none to kill."""
        by_kind: dict[str, list[psutil.Process]] = {}
        for one in family():
            with contextlib.suppress(psutil.Error):
                words = one.cmdline()
                if words and one.pid != launcher and not (one.ppid() == launcher and "verl.trainer.main_ppo" in words):
                    by_kind.setdefault(kind_of(words), []).append(one)
        if not by_kind:
            return None
        kind = self.draw.choice(sorted(by_kind))
        victim = self.draw.choice(sorted(by_kind[kind], key=lambda one: one.pid))
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return None
        self.left -= 1
        self.faults[kind] += 1
        return kind

    @staticmethod
    def _end(code: int, log: Path) -> list[str]:
        """What is wrong with how the command ended."""
        if code == 0:
            return []
        text = log.read_text(errors="replace")
        if code not in WORTH_ANOTHER_START:
            return [f"exit code {code}", *(f"  {line}" for line in text.splitlines()[-5:])]
        said = f"watchdog: stopping the run with exit code {code}" in text
        return [] if said else [f"exit code {code}, and no line of the watchdog says why"]

    @staticmethod
    def _leftovers() -> list[str]:
        """Processes that outlive the command; they are ended."""
        deadline = time.monotonic() + LEAVES_S
        while (left := family()) and time.monotonic() < deadline:
            bury()
            time.sleep(POLL_S)
        found = []
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(f"left behind: {kind_of(one.cmdline())}")
        end_all(left)
        return found


def command(run: Path, tiny: Path, steps: int) -> list[str]:
    """What a user would type, with a step of about a second."""
    return [
        *("bash", str(ROOT / "run_tiny_psr_nsr.sh")),
        f"data.train_files={tiny}/train.parquet",
        f"data.val_files={tiny}/test.parquet",
        f"actor_rollout_ref.model.path={tiny}/model",
        f"trainer.default_local_dir={run}",
        f"trainer.total_training_steps={steps}",
        f"trainer.save_freq={SAVE_FREQ}",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.samples_per_step=all",
        "trainer.watchdog.timeout_s=120",
        "trainer.watchdog.stop=true",
        f"data.train_batch_size={QUESTIONS}",
        "data.val_max_samples=4",
        f"actor_rollout_ref.rollout.n={N}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={QUESTIONS}",
    ]


# ---- processes


def family() -> list[psutil.Process]:
    """Every living process that this one started, and theirs."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def end_all(processes: list[psutil.Process]) -> None:
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def bury(launcher: int | None = None) -> None:
    """Take note of children that have ended, as the machine's first process would; ``launcher`` is somebody else's to wait for."""
    for one in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if one.pid != launcher and one.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(one.pid, os.WNOHANG)


def kind_of(words: list[str]) -> str:
    """What a process is, from its command line: ``ray::NAME``, a module, a script or a program."""
    if words[0].startswith("ray::"):
        return words[0].split(".")[0].split("(")[0].split(" ")[0]
    program = Path(words[0]).name
    if not program.startswith("python"):
        return program
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    return Path(next((word for word in words if word.endswith(".py")), program)).name


# ---- what a run leaves


def last_step(run: Path) -> int:
    """The newest step of ``metrics.jsonl``, for the eye."""
    path = run / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def resume_step(run: Path) -> int:
    """After which step the run would go on; 0 without a checkpoint."""
    from rlvr.training.checkpoints import where_to_resume

    if not run.is_dir() or (folder := where_to_resume(run).folder) is None:
        return 0
    return int(folder.name.removeprefix("global_step_"))


def proof(run: Path, steps: int) -> list[str]:
    """What is wrong with a run that is done, in lines; empty if every step is there once."""
    return [*wrong_metrics(run, steps), *wrong_samples(run, steps), *wrong_checkpoints(run, steps)]


def wrong_metrics(run: Path, steps: int) -> list[str]:
    lines = (run / "metrics.jsonl").read_text().split("\n")
    if lines.pop():
        return ["metrics.jsonl: the last line is cut"]
    try:
        found = [json.loads(line)["step"] for line in lines]
    except (json.JSONDecodeError, KeyError) as error:
        return [f"metrics.jsonl: {error}"]
    return [] if found == list(range(1, steps + 1)) else [f"metrics.jsonl has the steps {found}"]


def wrong_samples(run: Path, steps: int) -> list[str]:
    from rlvr.sample_files import FOLDER, TRAIN, path_of, sample_files

    wanted = [path_of(run, TRAIN, step).name for step in range(1, steps + 1)]
    there = sorted(one.name for one in (run / FOLDER).iterdir())
    if there != wanted:
        return [f"samples/ lacks {sorted(set(wanted) - set(there))} and has also {sorted(set(there) - set(wanted))}"]
    found, asked = [], Counter()
    for file in sample_files(run):
        samples = file.read()
        groups = Counter(sample.group for sample in samples)
        if len(groups) != QUESTIONS or set(groups.values()) != {N}:
            found.append(f"{file.path.name} has groups of {sorted(groups.values())} samples")
        if {sample.step for sample in samples} != {file.step}:
            found.append(f"{file.path.name} has samples of the steps {sorted({sample.step for sample in samples})}")
        asked.update({sample.group: sample.question for sample in samples}.values())
    if twice := [question for question, times in asked.items() if times > 1]:
        found.append(f"{len(twice)} questions were asked twice, such as {twice[0]!r}")
    return found


def wrong_checkpoints(run: Path, steps: int) -> list[str]:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    from rlvr.training.checkpoints import flaw, newest_named, steps_of

    logging.disable(logging.WARNING)  # torch: the shards' device mesh is not of this process
    disable_progress_bar()
    found = [] if newest_named(run) == steps else [f"the newest checkpoint is of step {newest_named(run)}"]
    for step in steps_of(run):
        folder = run / f"global_step_{step}"
        if wrong := flaw(folder, must_be_sealed=True):
            found.append(f"{folder.name}: {wrong}")
            continue
        for shard in folder.rglob("*.pt"):
            torch.load(shard, map_location="cpu", weights_only=False)
        AutoModelForCausalLM.from_pretrained(folder / "actor" / "huggingface")
    return found


if __name__ == "__main__":
    fire.Fire(storm)
