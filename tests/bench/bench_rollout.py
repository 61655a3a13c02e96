"""What a rollout costs beside the engine: tokenising, decoding, grading and packing of one sample, from 64 to 8,192 samples.

    python tests/bench/bench_rollout.py [--sizes 64,256,1024,4096,8192 --rounds 3]

The rollout worker of a run with an engine that answers at once (always the same 32 tokens) and a TransferQueue that only counts.
Deliberately left out: the engine, and TransferQueue's own write; ``bench_step.py`` has both.
"""

import asyncio
import statistics
import time
from types import SimpleNamespace
from typing import Any

import fire
import pandas as pd
import torch
import transfer_queue as tq
from rich.console import Console
from rich.table import Table
from tensordict import NonTensorData, NonTensorStack, TensorDict
from transformers import AutoTokenizer
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from rlvr.prompts import chat_template
from rlvr.training.reward import compute_score
from rlvr.training.rollout import BatchedRolloutWorker

N = 8  # samples a prompt
LIMIT_MS = 2.0  # a sample
MODEL, DATA = "data/tiny/model", "data/tiny/train.parquet"


def main(sizes: Any = "64,256,1024,4096,8192", rounds: int = 3) -> None:
    numbers = [int(size) for size in (sizes.split(",") if isinstance(sizes, str) else sizes)]
    worker = make_worker()
    records = pd.read_parquet(DATA).to_dict("records")
    asyncio.run(rollout(worker, batch(records, 64 // N)))  # warm
    table = Table("samples", "seconds", "ms a sample", "CPU ms a sample", title=f"limit: {LIMIT_MS} ms a sample")
    for size in numbers:
        wall, cpu = [], []
        for _ in range(rounds):
            prompts = batch(records, size // N)
            started, started_cpu = time.perf_counter(), time.process_time()
            stored = asyncio.run(rollout(worker, prompts))
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - started_cpu)
            assert stored == size, f"{stored} of {size} samples were stored"
        seconds, used = statistics.median(wall), statistics.median(cpu)
        table.add_row(str(size), f"{seconds:.3f}", f"{1000 * seconds / size:.3f}", f"{1000 * used / size:.3f}")
    Console().print(table)


def make_worker() -> BatchedRolloutWorker:
    """A worker without Ray: what its methods use, and nothing else."""
    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker.tokenizer = AutoTokenizer.from_pretrained(MODEL)
    worker.tokenizer.chat_template = chat_template("countdown")
    worker.tokens = create_continuous_token_builder(worker.tokenizer, hf_model_type="qwen2")
    worker.compute_score = compute_score
    worker.tasks = set()
    worker.rollout_config = SimpleNamespace(
        n=N, temperature=1.0, top_p=1.0, top_k=-1, calculate_log_probs=True, prompt_length=16, response_length=40
    )
    answer = (worker.tokenizer.encode("1+2=3;3*4=12</a>")[:32], [-0.5] * 32)

    async def generate(prompt_ids: list[list[int]], n: int, settings: dict[str, Any]) -> Any:
        return 0, [[answer] * n for _ in prompt_ids]

    worker._generate = generate
    return worker


async def rollout(worker: BatchedRolloutWorker, prompts: TensorDict) -> int:
    """Samples that reached the store."""
    stored = 0

    async def put(keys: list[str], fields: TensorDict | None = None, **kwargs: Any) -> None:
        nonlocal stored
        stored += len(keys) if fields is not None else 0

    original, tq.async_kv_batch_put = tq.async_kv_batch_put, put
    try:
        await worker.generate_sequences(prompts)
        await asyncio.gather(*worker.tasks)
    finally:
        tq.async_kv_batch_put = original
    return stored


def batch(records: list[dict], size: int) -> TensorDict:
    rows = [records[i % len(records)] for i in range(size)]
    columns = {
        "raw_prompt": NonTensorStack(*(list(row["prompt"]) for row in rows)),
        "uid": NonTensorStack(*(f"u{i}" for i in range(size))),
        **{key: NonTensorStack(*(row[key] for row in rows)) for key in ("data_source", "reward_model", "extra_info")},
        "dummy_tensor": torch.zeros(size, 1, dtype=torch.uint8),
    }
    made = TensorDict(columns, batch_size=size)
    made["global_steps"] = NonTensorData(1, batch_size=[size])
    return made


if __name__ == "__main__":
    fire.Fire(main)
