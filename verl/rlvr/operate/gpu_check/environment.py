"""The machine: the doctor, compilers, handles between processes, bandwidth of pinned memory, an all-reduce over all GPUs."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing

from rlvr.operate.gpu_check import Check, Context, above, figure

PINNED_GB_S = 5.0  # PCIe 3 with half its lanes does more; pageable memory less
SIZE = 1 << 20


def run(context: Context) -> Iterator[Check]:
    command = [sys.executable, "-m", "rlvr.operate.doctor", "--no-ray"]
    doctor = subprocess.run(command, capture_output=True, text=True)
    red = [line for line in doctor.stdout.splitlines() if line.startswith("✗")]
    yield Check("doctor", not doctor.returncode, "; ".join(red) or "nothing is red", "nothing is red")
    yield Check("a tensor between two processes", shared(context.device) == SIZE, None, "the sum that was written")
    speed = bandwidth(context)
    what = "pinned memory to the GPU and back, GB/s" if context.device == "cuda" else "copies in main memory, GB/s"
    yield above(what, round(speed, 1), PINNED_GB_S) if context.device == "cuda" else figure(what, round(speed, 1))
    workers = context.gpus if context.device == "cuda" else 2
    total = all_reduce(context.device, workers)
    yield Check(f"all-reduce over {workers}", total == workers * (workers + 1) / 2, total, "the sum of the ranks")


def shared(device: str) -> float:
    """What another process reads out of a tensor of ones; by CUDA's handle on a GPU, as verl sends weights to vLLM."""
    context = torch.multiprocessing.get_context("spawn")
    queue, answer = context.Queue(), context.Queue()
    process = context.Process(target=_read, args=(queue, answer))
    process.start()
    tensor = torch.ones(SIZE, device=device)
    queue.put(tensor)
    total = answer.get(timeout=60)
    process.join()
    return float(total)


def _read(queue: Any, answer: Any) -> None:
    answer.put(queue.get(timeout=60).sum().item())


def bandwidth(context: Context) -> float:
    """GB/s, the slower of the two directions."""
    count = int(context.sizes.transfer_gib * 2**30 / 4)
    pinned = context.device == "cuda"
    host = torch.empty(count, pin_memory=pinned)
    device = torch.empty(count, device=context.device)
    rates = []
    for target, source in ((device, host), (host, device)):
        target.copy_(source)
        _wait(context)
        started = time.perf_counter()
        target.copy_(source, non_blocking=True)
        _wait(context)
        rates.append(4 * count / (time.perf_counter() - started) / 1e9)
    return min(rates)


def _wait(context: Context) -> None:
    if context.device == "cuda":
        torch.cuda.synchronize()


def all_reduce(device: str, workers: int) -> float:
    """The sum of rank + 1."""
    context = torch.multiprocessing.get_context("spawn")
    answer = context.Queue()
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [
        context.Process(target=_reduce, args=(device, rank, workers, store.port, answer)) for rank in range(workers)
    ]
    for process in processes:
        process.start()
    totals = {answer.get(timeout=120) for _ in processes}
    for process in processes:
        process.join()
    return totals.pop() if len(totals) == 1 else float("nan")


def _reduce(device: str, rank: int, workers: int, port: int, answer: Any) -> None:
    if device == "cuda":
        torch.cuda.set_device(rank)
    store = torch.distributed.TCPStore("127.0.0.1", port, is_master=False)
    backend = "nccl" if device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=workers)
    value = torch.full((SIZE,), float(rank + 1), device=device)
    torch.distributed.all_reduce(value)
    answer.put(value[0].item())
    torch.distributed.destroy_process_group()
