"""Cutting a training worker's batch into micro-batches: verl's own way and this project's, the same micro-batches.

    python tests/bench/bench_micro_batches.py [--cells 256x3072,1024x3072,8192x3072,1024x31744] [--budget 16384]

Each cell (SAMPLES of one worker x RESPONSE_LIMIT, lengths of :mod:`scale_lengths`) goes through verl's ``rearrange_micro_batches``
with at most ``budget`` tokens a micro-batch (two samples of the full length where that is more), as every pass of a worker begins:
which samples lie together, and their rows of ``FIELDS`` fields. It happens on the host, whatever the device.
Deliberately left out: the pass itself.
"""

import importlib
import time
from typing import Any

import fire
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scale_lengths import draw_lengths
from tensordict import TensorDict
from verl.utils import seqlen_balancing, tensordict_utils

FIELDS = ("input_ids", "position_ids", "responses", "response_mask", "loss_mask", "old_log_probs", "advantages")
OURS = (seqlen_balancing.karmarkar_karp, tensordict_utils.index_select_tensor_dict)


def main(cells: Any = "256x3072,1024x3072,8192x3072,1024x31744", budget: int = 16384) -> None:
    table = Table("cell", "M tokens", "parts", "verl: which s", "rows s", "here: which s", "rows s")
    for name in cells.split(",") if isinstance(cells, str) else map(str, cells):
        samples, limit = map(int, name.split("x"))
        batch = make(draw_lengths(samples, limit, np.random.default_rng(0)).tolist())
        theirs, here = (cut(batch, max(budget, 2 * limit), way) for way in (verl_alone(), OURS))
        assert theirs[0] == here[0], "not the same micro-batches"
        tokens = batch["input_ids"].values().numel() / 1e6
        seconds = [f"{s:.2f}" for s in theirs[1:] + here[1:]]
        table.add_row(name, f"{tokens:.1f}", str(len(here[0])), *seconds)
    Console().print(table)


def make(lengths: list[int]) -> TensorDict:
    """Jagged fields (samples, length)."""
    ends = torch.tensor([0, *lengths]).cumsum(0)
    fields = {name: torch.nested.nested_tensor_from_jagged(torch.rand(int(ends[-1])), ends) for name in FIELDS}
    return TensorDict(fields, batch_size=len(lengths))


def verl_alone() -> tuple[Any, Any]:
    """verl's functions, as if this project's plugin were not there."""
    module = importlib.util.module_from_spec(seqlen_balancing.__spec__)
    module.__spec__.loader.exec_module(module)
    return module.karmarkar_karp, tensordict_utils.index_select_tensor_dict.__wrapped__


def cut(batch: TensorDict, budget: int, way: tuple[Any, Any]) -> tuple[list[list[int]], float, float]:
    """(indices of each micro-batch, seconds of the partitions, seconds of the rows)"""
    spent = 0.0

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal spent
        started = time.perf_counter()
        partitions = way[0](*args, **kwargs)
        spent += time.perf_counter() - started
        return partitions

    seqlen_balancing.karmarkar_karp, tensordict_utils.index_select_tensor_dict = timed, way[1]
    started = time.perf_counter()
    _, indices = seqlen_balancing.rearrange_micro_batches(batch, budget)
    return indices, spent, time.perf_counter() - started - spent


if __name__ == "__main__":
    fire.Fire(main)
