"""A step at the paper's size without a model: what Python, Ray and TransferQueue do with 8,192 samples.

    make bench-scale                                        512 to 16,384 samples; goes on where it was
    python tests/bench/bench_scale.py [--cells 8192x3072,8192x3072x4 --output runs/bench-scale]

A cell is SAMPLES x RESPONSE_LIMIT [x ROLLOUT_WORKERS]. Each is a run of verl in a process tree of its own: trainer, sampler,
rollout workers, TransferQueue and metrics are a run's; the engine and the training worker are stand-ins
(:mod:`scale_stand_ins`), lengths are those of :mod:`scale_lengths`. W-REINFORCE, of which every sample is kept, four updates a
step, log-probs of rollout and actor. Of three steps the second is shown; memory is the peak of the whole run.

A rollout's seconds are what its workers need when all answers come at once; in a run they go by beside the generation. "The rest"
is every other phase: nothing is generated then. Deliberately left out: the graders (a reward takes no time here) and validation.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import fire
import pandas as pd
from rich.console import Console
from scale_processes import PeakMemory
from scale_results import by_phase, show, show_growth, show_phases
from step_contenders import ROOT, WORKS

N = 8  # samples a question
MINI_BATCHES = 4
STEPS, SHOWN = 3, 2
PROMPT_REPEATED = 12  # the tiny task's question, until it is about as long as one of MATH
LIMIT_SECONDS = 1200  # of one run
CELLS = "512x3072,2048x3072,4096x3072,8192x3072,8192x3072x4,16384x3072,2048x31744,8192x31744"


def main(cells: Any = CELLS, output: str = "runs/bench-scale") -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the run ends with this process
    console = Console(width=180)
    folder = ROOT / output
    results = []
    for cell in cells.split(",") if isinstance(cells, str) else list(map(str, cells)):
        samples, limit, workers = (*map(int, cell.split("x")), 1)[:3]
        name = f"{samples}x{limit}x{workers}"
        file = folder / f"{name}.json"
        if not file.is_file():
            console.print(f"{name} …")
            result = run(samples, limit, workers, folder, name)
            file.write_text(json.dumps(result))
        results.append(json.loads(file.read_text()))
    for result in results:
        show_phases(result, console)
    show(results, console)
    show_growth(results, console)


def run(samples: int, limit: int, workers: int, folder: Path, name: str) -> dict[str, Any]:
    """One cell.

    Raises:
        SystemExit: if the run failed; names its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    questions = make_questions(samples // N, folder)
    log = folder / f"{name}.log"
    with tempfile.TemporaryDirectory() as temporary:
        meters = Path(temporary)
        command, environment = make_command(samples, limit, workers, questions, meters)
        with log.open("w") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            memory = PeakMemory(process.pid)
            try:
                code = process.wait(timeout=LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                sys.exit(f"{name} took more than {LIMIT_SECONDS} s; its log is {log}")
            finally:
                peaks = memory.stop()
                process.terminate()  # where this process is ended before the run
                process.wait()
        if code:
            sys.exit(f"{name} failed with exit code {code}; its log is {log}")
        lines = read(meters / "phases.jsonl")
        messages = [message for file in sorted(meters.glob("messages-*.jsonl")) for message in read(file)]
        metrics = read(meters / "run" / "metrics.jsonl")[SHOWN - 1]
    kept = metrics["rlvr/kept_count"]
    if kept < 0.9 * samples:
        sys.exit(f"{name}: only {kept} of {samples} samples are in the step; its log is {log}")
    return {
        "samples": samples,
        "limit": limit,
        "workers": workers,
        "kept": kept,
        "tokens": metrics["response_length/mean"] * kept,
        "phases": by_phase(lines, messages, SHOWN),
        "peaks": peaks,
    }


def make_questions(number: int, folder: Path) -> Path:
    """A file of so many questions, those of the tiny task over and over."""
    file = folder / f"questions-{number}.parquet"
    rows = pd.read_parquet(ROOT / WORKS["tiny"].data).to_dict("records")
    made = []
    for index in range(number):
        row = rows[index % len(rows)]
        content = ",".join([row["prompt"][0]["content"]] * PROMPT_REPEATED)
        made.append(row | {"prompt": [{"role": "user", "content": content}], "extra_info": {"index": index}})
    pd.DataFrame(made).to_parquet(file)
    return file


def make_command(
    samples: int, limit: int, workers: int, questions: Path, meters: Path
) -> tuple[list[str], dict[str, str]]:
    settings = {
        "base_model": "tiny",
        "machine": "cpu",
        "data.train_files": questions,
        "data.val_files": questions,
        "data.train_batch_size": samples // N,
        "data.max_prompt_length": 1024,
        "data.max_response_length": limit,
        "algorithm.advantage": "weighted",
        "actor_rollout_ref.actor.ppo_mini_batch_size": samples // N // MINI_BATCHES,
        "actor_rollout_ref.rollout.n": N,
        "actor_rollout_ref.rollout.calculate_log_probs": "true",
        "actor_rollout_ref.rollout.agent.num_workers": workers,
        # Of the engine that is loaded and not asked anything.
        "actor_rollout_ref.rollout.max_model_len": 64,
        "actor_rollout_ref.rollout.max_num_seqs": 1,
        "reward.custom_reward_function.path": "tests/bench/rewards.py",
        "reward.custom_reward_function.name": "share_correct",
        "trainer.logger": "[console]",
        "trainer.total_training_steps": STEPS,
        "trainer.total_epochs": STEPS,
        "trainer.save_freq": -1,
        "trainer.test_freq": -1,
        "trainer.val_before_train": "false",
        "trainer.resume_mode": "disable",
        "trainer.experiment_name": "bench-scale",
        "trainer.default_local_dir": meters / "run",
    }
    environment = os.environ | {
        "VERL_PLATFORM": "cpu",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCH_COMPILE_DISABLE": "1",
        "RAY_prestart_worker_first_driver": "0",
        "VERL_USE_EXTERNAL_MODULES": "scale_stand_ins",
        "PYTHONPATH": str(Path(__file__).parent),
        "BENCH_SCALE": str(meters),
    }
    command = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-dir=configs", "--config-name=psr_nsr"]
    # The checks would refuse an engine that cannot hold a sample.
    return [*command, *(f"{key}={value}" for key, value in settings.items()), "~hydra.callbacks.preflight"], environment


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


if __name__ == "__main__":
    fire.Fire(main)
