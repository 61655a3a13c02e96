"""How long OpenMP's threads should look for work before they sleep: updates of the tiny model, alone and beside a busy program.

    python tests/bench/bench_threads.py [--counts 0,500,1000,2000,20000,300000] [--rounds 2]

Each cell is a process of its own with ``GOMP_SPINCOUNT`` (300,000 is GNU's default): forward and backward passes over 1,024 random
sequences of 64 tokens, 4,096 tokens a micro-batch, a thread on every core; the median of five. The cells take turns. The busy
program is a loop on one core. rlvr.machine.set_thread_waiting is what the project sets.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import fire
from rich.console import Console
from rich.table import Table

MODEL = "data/tiny/model"  # python -m rlvr.tiny
SEQUENCES, LENGTH, MICRO_BATCH = 1024, 64, 64


def main(counts: Any = "0,500,1000,2000,20000,300000", rounds: int = 2) -> None:
    names = [str(count) for count in (counts.split(",") if isinstance(counts, str) else counts)]
    seconds: dict[tuple[str, bool], list[float]] = {}
    for busy in (False, True):
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                seconds.setdefault((name, busy), []).append(cell(name, busy))
    table = Table("GOMP_SPINCOUNT", "alone s", f"of {names[0]}", "beside a busy program s", f"of {names[0]}")
    for name in names:
        row = []
        for busy in (False, True):
            here, first = (statistics.median(seconds[one, busy]) for one in (name, names[0]))
            row += [f"{here:.2f}", f"{here / first:.2f}"]
        table.add_row(name, *row)
    Console().print(table)


def cell(count: str, busy: bool) -> float:
    """Median seconds of an update's passes in a process of its own."""
    other = multiprocessing.Process(target=spin, daemon=True)
    if busy:
        other.start()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment["GOMP_SPINCOUNT"] = count
    try:
        command = [sys.executable, "-W", "ignore", __file__, "passes"]
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        if busy:
            other.terminate()
            other.join()
    return float(result.stdout.splitlines()[-1])


def spin() -> None:
    while True:
        pass


def passes() -> None:
    """Print the median seconds of five times all sequences, forward and backward."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="sdpa")
    ids = torch.randint(model.config.vocab_size, (SEQUENCES, LENGTH), generator=torch.Generator().manual_seed(0))
    taken = []
    for _ in range(6):
        begun = time.perf_counter()
        for part in ids.split(MICRO_BATCH):
            model(input_ids=part, labels=part).loss.backward()
        taken.append(time.perf_counter() - begun)
    print(statistics.median(taken[1:]))


if __name__ == "__main__":
    if sys.argv[1:] == ["passes"]:
        passes()
    else:
        fire.Fire(main)
