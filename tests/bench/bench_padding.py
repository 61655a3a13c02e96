"""What the trainer's own phases cost with upstream's padding and without it: old log-probs, advantages and metrics of one batch.

    python tests/bench/bench_padding.py [--cells 2048x3072,8192x3072,2048x31744] [--padded-limit 10]

Each cell (SAMPLES x RESPONSE_LIMIT, lengths of :mod:`scale_lengths`) runs in a process of its own with the batch in memory; peak
memory is above what the batch itself takes. Cells whose padded fields would take more than ``padded_limit`` GB are measured
without padding alone. Deliberately left out: the workers and TransferQueue.
"""

import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import fire
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from scale_lengths import draw_lengths

GB = 1e9
FLOAT_FIELDS = 16  # that upstream's way has at once, by its source; an integer field counts twice


def main(cells: Any = "2048x3072,8192x3072,2048x31744,8192x31744", padded_limit: float = 10.0) -> None:
    names = cells.split(",") if isinstance(cells, str) else list(map(str, cells))
    table = Table("cell", "M tokens", "padded: CPU s", "peak GB", "without padding: CPU s", "peak GB")
    for name in names:
        samples, limit = map(int, name.split("x"))
        padded = samples * limit * 4 * FLOAT_FIELDS <= padded_limit * GB
        measured = [measure(samples, limit, way) if way is False or padded else None for way in (True, False)]
        tokens = draw_lengths(samples, limit, np.random.default_rng(0)).sum() / 1e6
        shown = [("", "") if one is None else (f"{one[0]:.2f}", f"{one[1] / GB:.2f}") for one in measured]
        table.add_row(name, f"{tokens:.1f}", *shown[0], *shown[1])
    Console().print(table)


def measure(samples: int, limit: int, padded: bool) -> tuple[float, float]:
    """(seconds, bytes)"""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=one_step, args=(samples, limit, padded, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        sys.exit(f"{samples}x{limit}: the process ended (exit code {process.exitcode}; killed for memory?)")
    finally:
        process.join()


def one_step(samples: int, limit: int, padded: bool, result: Any) -> None:
    from tests.unit.rlvr.training.one_batch import Queue, step

    queue = Queue(draw_lengths(samples, limit, np.random.default_rng(0)).tolist(), seed=0)
    Path("/proc/self/clear_refs").write_text("5")
    before, started = peak(), time.process_time()
    step("psr_nsr", queue, padded=padded)
    result.send((time.process_time() - started, peak() - before))


def peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    fire.Fire(main)
