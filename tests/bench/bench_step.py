"""A training step, phase by phase: upstream verl's own managers, this project, and TRL's ``GRPOTrainer``, on the same work.

    make bench-step                                                         sizes 16x4 and 128x8, three contenders
    python tests/bench/bench_step.py step --sizes 16x4,128x8,512x8 --contenders ours,upstream,trl --rounds 2 --steps 4
    python tests/bench/bench_step.py same --steps 10                        do the metrics agree with upstream's processes?
    python tests/bench/bench_step.py kept --shares 0.1,0.5,0.9,1 --size 128x8     old log-probs and update against the kept share

GRPO without KL on the tiny model: the same prompts, 32 tokens an answer whatever it says, float32, AdamW at 3e-5, one update a
step, the same reward. The contenders take turns; each run is a process tree of its own, of which the wall time, the processor
time and the peak memory (sum of the proportional set sizes) are taken. The first step of a run is counted as its start, not as a
step. A run that is there already (``OUTPUT/cells``) is not made again, so an interrupted benchmark goes on; other sizes or
rounds add to it. Written to OUTPUT: ``step.json``, ``step.png``, or ``kept.json``.

``OMP_NUM_THREADS`` in the environment holds for every contender; without it each has its own default.

Upstream's contender is verl with its own trainer, replay buffer, rollout manager, policy loss, vLLM processes and Ray workers,
on this project's CPU device, without which it would not run here. TRL generates with transformers in the training process and
needs no old log-probs at one update a step. Deliberately left out: quality, GPUs.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import psutil
from rich.console import Console
from rich.table import Table

from rlvr.prompts import chat_template

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL, DATA = "data/tiny/model", "data/tiny/train.parquet"
RESPONSE = 32  # tokens of every answer
LIMIT_SECONDS = 900  # of one run
TRL_PYTHON = ROOT / ".venv-trl" / "bin" / "python"
COMPARED = ("rlvr/kept_count", "rlvr/correct_count", "response_length/mean", "actor/entropy", "actor/pg_loss")
COMPARED += ("actor/grad_norm", "actor/ppo_kl", "actor/pg_clipfrac", "critic/advantages/mean")
PHASES = ("gen", "reward", "old_log_prob", "adv", "update_actor", "update_weights", "step")
console = Console(width=160)


@dataclass(frozen=True)
class Cell:
    """One run. ``kept`` is the share of samples that the method learns from; None: all, with GRPO."""

    contender: str
    prompts: int
    n: int
    steps: int
    round: int
    kept: float | None = None
    likeliest: bool = False

    @property
    def size(self) -> str:
        return f"{self.prompts}x{self.n}"

    @property
    def name(self) -> str:
        kept = "" if self.kept is None else f"-kept{self.kept:g}"
        kept += "-likeliest" if self.likeliest else ""
        return f"{self.size}-{self.contender}{kept}-steps{self.steps}-round{self.round}"


def step(
    sizes: Any = "16x4,128x8",
    contenders: Any = "ours,upstream,trl",
    rounds: int = 2,
    steps: int = 4,
    output: str = "runs/bench-step",
) -> None:
    """Time of a step and its phases, start to first step, processor time and memory."""
    names = listed(contenders)
    folder = prepare(output, names)
    cells = []
    for number in range(rounds):
        for size in listed(sizes):
            prompts, n = map(int, size.split("x"))
            turn = names if number % 2 == 0 else names[::-1]
            cells += [Cell(name, prompts, n, steps, number) for name in turn]
    results = run_all(cells, folder)
    summary = summarise(results)
    (folder / "step.json").write_text(json.dumps({"summary": summary, "runs": results}, indent=1))
    show(summary)
    plot(summary, folder / "step.png")
    console.print(f"written: {folder}/step.json, {folder}/step.png")


def kept(
    shares: Any = "0.1,0.5,0.9,1", size: str = "128x8", rounds: int = 2, steps: int = 4, output: str = "runs/bench-step"
) -> None:
    """PSR where a given share of the answers is correct: old log-probs and update, against the time with all kept."""
    folder = prepare(output, ["ours"])
    prompts, n = map(int, size.split("x"))
    wanted = [float(share) for share in listed(shares)]
    cells = [Cell("ours", prompts, n, steps, number, share) for number in range(rounds) for share in wanted]
    results = run_all(cells, folder)
    table = Table("kept", "old log-prob s", "update s", "both s", "of all kept")
    medians = {}
    for share in wanted:
        of_share = [result for result in results if result["kept"] == share]
        medians[share] = [
            statistics.median(phase(result, name) for result in of_share) for name in ("old_log_prob", "update_actor")
        ]
    everything = sum(medians[max(wanted)])
    for share, (log_prob, update) in medians.items():
        both = log_prob + update
        table.add_row(f"{share:.0%}", *(f"{s:.3f}" for s in (log_prob, update, both)), f"{both / everything:.2f}")
    console.print(table)
    (folder / "kept.json").write_text(json.dumps(results, indent=1))
    console.print(f"written: {folder}/kept.json")


def same(size: str = "16x4", steps: int = 10, output: str = "runs/bench-step") -> None:
    """NSR with this project's processes and with upstream's: what each step computed, metric by metric.

    Every token is the likeliest one (top-k 1), so both see the same answers, as long as rounding does not change one.
    """
    folder = prepare(output, ["ours"])
    prompts, n = map(int, size.split("x"))
    cells = [Cell(name, prompts, n, steps, 0, 0.5, likeliest=True) for name in ("ours", "upstream-processes")]
    ours, upstream = (result["metrics"] for result in run_all(cells, folder))
    table = Table("metric", "largest difference", "its value", "step")
    for name in COMPARED:
        differences = [abs(a[name] - b[name]) for a, b in zip(ours, upstream, strict=True) if name in a or name in b]
        if differences:
            worst = max(range(len(differences)), key=differences.__getitem__)
            table.add_row(name, f"{differences[worst]:.2g}", f"{upstream[worst][name]:.6g}", str(worst + 1))
    console.print(table)


# ---- runs


def listed(value: Any) -> list[str]:
    """fire gives "a,b" as a tuple, "a" as a string and 0.1 as a number."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else [value]
    return [str(item) for item in items]


def prepare(output: str, contenders: list[str]) -> Path:
    """The folder of the results.

    Raises:
        SystemExit: names what has to be made or installed first.
    """
    unknown = set(contenders) - {"ours", "upstream", "trl"}
    if unknown:
        sys.exit(f"unknown contender {', '.join(sorted(unknown))}: choose from ours, upstream, trl")
    if not (ROOT / MODEL / "config.json").is_file():
        sys.exit(f"{MODEL} is not there: make it with `python -m rlvr.tiny`")
    if "trl" in contenders and not TRL_PYTHON.is_file():
        sys.exit("TRL is not installed: `bash scripts/install_trl.sh` (`make bench-step` does it)")
    folder = ROOT / output
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    return folder


def run_all(cells: list[Cell], folder: Path) -> list[dict[str, Any]]:
    results = []
    for number, cell in enumerate(cells, start=1):
        file = folder / "cells" / f"{cell.name}.json"
        if not file.is_file():
            console.print(f"[{number}/{len(cells)}] {cell.name} …", end=" ")
            result = run(cell, folder / "cells" / f"{cell.name}.log")
            file.write_text(json.dumps(result))
            console.print(f"step {phase(result, 'step'):.2f} s, start {result['start_s']:.0f} s")
        results.append(json.loads(file.read_text()))
    return results


def run(cell: Cell, log: Path) -> dict[str, Any]:
    """Start the contender, watch its processes, read its steps.

    Raises:
        SystemExit: if it failed; names its log.
    """
    with tempfile.TemporaryDirectory() as temporary:
        steps = Path(temporary) / "steps.jsonl"
        command, environment = (trl if cell.contender == "trl" else verl)(cell, Path(temporary), steps)
        started = time.time()
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
            watch = Watch(process.pid, steps)
            try:
                code = process.wait(timeout=LIMIT_SECONDS)
            finally:
                watch.stop()
        if code or not steps.is_file():
            sys.exit(f"{cell.name} failed with exit code {code}; its log is {log}")
        records = [json.loads(line)["data"] for line in steps.read_text().splitlines()]
    timings = [
        {key.removeprefix("timing_s/"): value for key, value in record.items() if key.startswith("timing_s/")}
        for record in records
    ]
    return {
        "contender": cell.contender,
        "size": cell.size,
        "round": cell.round,
        "kept": cell.kept,
        "start_s": watch.first_line - started - timings[0]["step"],
        "first_step_s": timings[0]["step"],
        "steps": timings[1:],
        "metrics": [{name: record[name] for name in COMPARED if name in record} for record in records],
        "cpu_s": watch.cpu_seconds,
        "peak_pss_mib": watch.peak_pss / 2**20,
        "processes": watch.processes,
    }


def verl(cell: Cell, folder: Path, steps: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of verl, with this project's managers or upstream's."""
    method = "grpo" if cell.kept is None else "psr_nsr"
    settings = {
        "base_model": "tiny",
        "machine": "cpu",
        "data.train_files": DATA,
        "data.train_batch_size": cell.prompts,
        "data.max_response_length": RESPONSE,
        "actor_rollout_ref.model.path": MODEL,
        "actor_rollout_ref.actor.ppo_mini_batch_size": cell.prompts,
        "actor_rollout_ref.actor.entropy_coeff": 0,
        "actor_rollout_ref.actor.use_kl_loss": "false",
        "actor_rollout_ref.rollout.n": cell.n,
        "actor_rollout_ref.rollout.ignore_eos": "true",
        "reward.custom_reward_function.path": "tests/bench/rewards.py",
        "reward.custom_reward_function.name": "share_correct",
        "+reward.custom_reward_function.reward_kwargs.share": 0.5 if cell.kept is None else cell.kept,
        "trainer.logger": "[file]",
        "trainer.total_training_steps": cell.steps,
        "trainer.total_epochs": 1000,
        "trainer.save_freq": -1,
        "trainer.test_freq": -1,
        "trainer.val_before_train": "false",
        "trainer.resume_mode": "disable",
        "trainer.experiment_name": "bench",
        "trainer.default_local_dir": folder / "run",
    }
    if cell.kept is not None:
        settings["algorithm.advantage"] = "positive"
    if cell.likeliest:
        settings |= {"actor_rollout_ref.rollout.top_k": 1, "data.shuffle": "false"}
    environment = os.environ | {
        "VERL_PLATFORM": "cpu",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VERL_FILE_LOGGER_PATH": str(steps),
    }
    flags = []
    if cell.contender != "ours":  # Ray's and vLLM's own processes
        settings["actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend"] = "null"
        flags = ["~hydra.callbacks.forkserver"]
    if cell.contender == "upstream":
        settings |= {
            "trainer.v1.trainer_mode": "sync",
            "trainer.v1.sampler.custom_sampler.path": "null",
            "trainer.v1.sampler.custom_sampler.name": "null",
            "actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla",
            "actor_rollout_ref.rollout.agent.agent_loop_manager_class": "null",
            "actor_rollout_ref.rollout.calculate_log_probs": "true",
            "reward.num_workers": 1,
        }
    if cell.contender == "ours":
        environment |= {"TORCH_COMPILE_DISABLE": "1", "RAY_prestart_worker_first_driver": "0"}  # as scripts/env_cpu.sh
    command = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-dir=configs", f"--config-name={method}"]
    return command + [f"{key}={value}" for key, value in settings.items()] + flags, environment


def trl(cell: Cell, folder: Path, steps: Path) -> tuple[list[str], dict[str, str]]:
    description = {
        "model": MODEL,
        "data": DATA,
        "template": chat_template("countdown"),
        "prompts": cell.prompts,
        "n": cell.n,
        "response": RESPONSE,
        "steps": cell.steps,
        "log": str(steps),
        "folder": str(folder / "trl"),
    }
    (folder / "cell.json").write_text(json.dumps(description))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    return [str(TRL_PYTHON), "tests/bench/trl_step.py", str(folder / "cell.json")], environment


class Watch:
    """Processor seconds, peak memory and number of the processes below one, and when a file got its first line."""

    def __init__(self, pid: int, file: Path):
        self.root, self.file = psutil.Process(pid), file
        self.first_line = float("nan")
        self.peak_pss = 0
        self.cpu: dict[int, float] = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        tick = 0
        while not self.ended.wait(0.1):
            if self.first_line != self.first_line and self.file.is_file() and self.file.stat().st_size:
                self.first_line = time.time()
            if tick % 10 == 0:
                self._look()
            tick += 1

    def _look(self) -> None:
        total = 0
        try:
            processes = [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                times = process.cpu_times()
                self.cpu[process.pid] = times.user + times.system
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            except (psutil.Error, OSError):  # it ended meanwhile
                continue
            total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        self.peak_pss = max(self.peak_pss, total)

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())

    @property
    def processes(self) -> int:
        return len(self.cpu)


# ---- results


def phase(result: dict[str, Any], name: str) -> float:
    """Median seconds of a phase over the steps of a run; not a number where it has none."""
    values = [timing[name] for timing in result["steps"] if name in timing]
    return statistics.median(values) if values else float("nan")


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a size and contender: medians over the rounds, and the step's ratio to TRL's and upstream's, round by round."""
    rows = []
    for size in dict.fromkeys(result["size"] for result in results):
        of_size = [result for result in results if result["size"] == size]
        for contender in dict.fromkeys(result["contender"] for result in of_size):
            runs = [result for result in of_size if result["contender"] == contender]
            row: dict[str, Any] = {"size": size, "contender": contender, "rounds": len(runs)}
            row |= {name: statistics.median(phase(run, name) for run in runs) for name in PHASES}
            for key in ("start_s", "first_step_s", "cpu_s", "peak_pss_mib", "processes"):
                row[key] = statistics.median(run[key] for run in runs)
            for other in ("trl", "upstream"):
                row[f"to_{other}"] = [
                    phase(run, "step") / phase(rival, "step")
                    for run in runs
                    for rival in of_size
                    if rival["contender"] == other and rival["round"] == run["round"]
                ]
            rows.append(row)
    return rows


def ratio(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def show(summary: list[dict[str, Any]]) -> None:
    table = Table(title="seconds; medians over the rounds, ratios of the step with their range")
    for name in ("size", "contender", "start", *PHASES, "step / TRL", "step / upstream", "CPU s", "GiB", "processes"):
        table.add_column(name.replace("_", " "), justify="right")
    for row in summary:
        seconds = ["–" if row[name] != row[name] else f"{row[name]:.2f}" for name in PHASES]
        cells = [row["size"], row["contender"], f"{row['start_s']:.0f}", *seconds, ratio(row["to_trl"])]
        cells += [ratio(row["to_upstream"]), f"{row['cpu_s']:.0f}", f"{row['peak_pss_mib'] / 1024:.1f}"]
        table.add_row(*cells, f"{row['processes']:.0f}")
    console.print(table)


def plot(summary: list[dict[str, Any]], file: Path) -> None:
    """Stacked phases of a step, one bar a contender, one panel a size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = list(dict.fromkeys(row["size"] for row in summary))
    figure, axes = plt.subplots(1, len(sizes), figsize=(4 * len(sizes), 4), squeeze=False)
    for axis, size in zip(axes[0], sizes):
        rows = [row for row in summary if row["size"] == size]
        bottoms = [0.0] * len(rows)
        for name in PHASES[:-1]:
            heights = [0.0 if row[name] != row[name] else row[name] for row in rows]
            axis.bar([row["contender"] for row in rows], heights, bottom=bottoms, label=name)
            bottoms = [bottom + height for bottom, height in zip(bottoms, heights)]
        rest = [max(0.0, row["step"] - bottom) for row, bottom in zip(rows, bottoms)]
        axis.bar([row["contender"] for row in rows], rest, bottom=bottoms, label="rest", color="lightgrey")
        axis.set_title(f"{size.replace('x', ' × ')} samples")
        axis.set_ylabel("seconds a step")
    axes[0][-1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    fire.Fire({"step": step, "kept": kept, "same": same})
