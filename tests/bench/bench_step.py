"""A training step, phase by phase: upstream verl's own managers, this project, and TRL's ``GRPOTrainer``, on the same work.

    make bench-step                                                         sizes 16x4 and 128x8, all contenders
    make bench-step MODEL=smollm2-135m                                      a real vocabulary: size 8x8, ours, trl and bare
    python tests/bench/bench_step.py step --sizes 16x4,128x8,512x8 --contenders ours,trl --rounds 2 --steps 4
    python tests/bench/bench_step.py same --steps 10                        do the metrics agree with upstream's processes?
    python tests/bench/bench_step.py kept --shares 0.1,0.5,0.9,1 --size 128x8     old log-probs and update against the kept share
    python tests/bench/bench_step.py samples --size 128x8                   every sample of every step as a file, against none

GRPO without KL on the tiny model or SmolLM2: the same prompts, 32 or 45 tokens an answer whatever it says, float32, AdamW at
3e-5, one update a step, the same reward. The contenders take turns; each run is a process tree of its own, of which the wall
time, the processor time and the peak memory (sum of the proportional set sizes) are taken. The first step of a run is counted as
its start, not as a step. A run that is there already (``OUTPUT/cells``) is not made again, so an interrupted benchmark goes on;
other sizes or rounds add to it. Written to OUTPUT: ``step.json``, ``step.png``, ``kept.json`` or ``samples.json``.

``OMP_NUM_THREADS`` in the environment holds for every contender; without it each has its own default.

Upstream's contender is verl with its own trainer, replay buffer, rollout manager, policy loss, vLLM processes and Ray workers,
on this project's CPU device, without which it would not run here, but without what only makes that faster (``plain_verl.py``).
``…-per-core`` has a training worker and a rollout replica on every core. ``bare`` is vLLM and a loop in torch (``bare_step.py``).
TRL generates with transformers in the training process. At one update a step neither TRL nor this project needs old log-probs.
Deliberately left out: quality, GPUs.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fire
import pandas as pd
from rich.table import Table
from step_contenders import CONTENDERS, ROOT, TRL_PYTHON, WORKS, Cell, make_command
from step_results import console, phase, plot, show, summarise
from step_watch import Watch

LIMIT_SECONDS = 900  # of one run
COMPARED = ("rlvr/kept_count", "rlvr/correct_count", "response_length/mean", "actor/entropy", "actor/pg_loss")
COMPARED += ("actor/grad_norm", "actor/ppo_kl", "actor/pg_clipfrac", "critic/advantages/mean")


def step(
    sizes: Any = "16x4,128x8",
    contenders: Any = CONTENDERS,
    rounds: int = 2,
    steps: int = 4,
    output: str = "runs/bench-step",
    model: str = "tiny",
) -> None:
    """Time of a step and its phases, start to first step, processor time and memory."""
    names = listed(contenders)
    folder = prepare(output, names, model)
    cells = []
    for number in range(rounds):
        for size in listed(sizes):
            prompts, n = map(int, size.split("x"))
            turn = names if number % 2 == 0 else names[::-1]
            cells += [Cell(name, prompts, n, steps, number, model=model) for name in turn]
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


def samples(size: str = "128x8", rounds: int = 2, steps: int = 8, output: str = "runs/bench-step") -> None:
    """``trainer.samples_per_step``: a step with the files of all of its samples against one without, round by round.

    A step is verl's step and what the trainer waits for the samples after it. Half of the samples are dropped, as with NSR.
    """
    folder = prepare(output, ["ours"])
    prompts, n = map(int, size.split("x"))
    cells = [
        Cell("ours", prompts, n, steps, number, 0.5, samples=kept) for number in range(rounds) for kept in ("0", "all")
    ]
    results = run_all(cells, folder)
    table = Table(
        "round", "step without s", "step with s", "waited s", "CPU without s", "CPU with s", "ratio of the step"
    )
    for without, with_all in zip(results[::2], results[1::2], strict=True):
        bare, waited = phase(without, "step"), phase(with_all, "samples")
        whole = phase(with_all, "step") + waited
        cpu = (f"{one['cpu_s']:.0f}" for one in (without, with_all))
        row = (str(without["round"]), f"{bare:.3f}", f"{whole:.3f}", f"{waited:.4f}", *cpu, f"{whole / bare:.3f}")
        table.add_row(*row)
    console.print(table)
    (folder / "samples.json").write_text(json.dumps(results, indent=1))
    console.print(f"written: {folder}/samples.json")


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


def prepare(output: str, contenders: list[str], model: str = "tiny") -> Path:
    """The folder of the results.

    Raises:
        SystemExit: names what has to be made or installed first.
    """
    unknown = set(contenders) - {*CONTENDERS}
    if unknown:
        sys.exit(f"unknown contender {', '.join(sorted(unknown))}: choose from {', '.join(CONTENDERS)}")
    if model not in WORKS:
        sys.exit(f"unknown model {model}: choose from {', '.join(WORKS)}")
    work = WORKS[model]
    if not (ROOT / work.model / "config.json").is_file():
        sys.exit(f"{work.model} is not there: make it with `{work.made_with}`")
    if "trl" in contenders and not [*TRL_PYTHON.parent.parent.glob("lib/python3*/site-packages/trl")]:
        sys.exit(
            "TRL is not installed: `bash scripts/install.sh trl` (`make bench-step` does it), with Python 3.11 or 3.12"
        )
    folder = ROOT / output
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    if model != "tiny":
        sums(ROOT / work.data)
    return folder


def sums(file: Path, questions: int = 256) -> None:
    """Questions for a language model: sums of three numbers."""
    draw = random.Random(0)
    rows = []
    for index in range(questions):
        numbers = [draw.randrange(10, 100) for _ in range(3)]
        text = f"What is {' + '.join(map(str, numbers))}?"
        rows.append(
            {
                "data_source": "bench/sums",
                "prompt": [{"role": "user", "content": text}],
                "reward_model": {"ground_truth": {"question": text, "target": str(sum(numbers))}, "style": "rule"},
                "extra_info": {"index": index},
            }
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(file)


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
        command, environment = make_command(cell, Path(temporary), steps)
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


if __name__ == "__main__":
    fire.Fire({"step": step, "kept": kept, "samples": samples, "same": same})
