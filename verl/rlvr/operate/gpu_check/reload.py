"""Does verl's engine load what it saved?  A checkpoint is loaded and saved again; weights and Adam must be the same bytes.

python -m rlvr.operate.gpu_check.reload FROM TO ARGUMENT …     (arguments of verl.trainer.main_ppo; one process)
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from rlvr.operate.gpu_check import Check

SHARDS = ("model", "optim")


def unchanged(words: Sequence[str], saved: Path, target: Path) -> Iterator[Check]:
    """Of a run on one GPU that composed its configuration from ``words``; ``saved`` is its ``global_step_N/actor``."""
    command = [sys.executable, "-m", "rlvr.operate.gpu_check.reload", str(saved), str(target), "--config-dir=configs"]
    local = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    result = subprocess.run([*command, *words], env=os.environ | local, capture_output=True, text=True)
    if result.returncode:
        yield Check("the checkpoint loads", False, result.stderr[-1000:], "it does")
        return
    for part in SHARDS:
        name = f"{part}_world_size_1_rank_0.pt"
        one, other = (torch.load(folder / name, map_location="cpu", weights_only=False) for folder in (saved, target))
        differ = different(one, other)
        yield Check(f"{part} after loading", not differ, ", ".join(differ[:3]) or "the same bytes", "the same bytes")


def different(one: Any, other: Any, name: str = "") -> list[str]:
    """Names of what two nested states do not share."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return [found for key in one for found in different(one[key], other[key], f"{name}.{key}".lstrip("."))]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [found for i, pair in enumerate(zip(one, other)) for found in different(*pair, f"{name}[{i}]")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        one, other = (getattr(tensor, "_local_tensor", tensor) for tensor in (one, other))
        return [] if one.dtype == other.dtype and one.equal(other) else [name]
    return [] if one == other else [name]


def load_and_save(saved: Path, target: Path, words: Sequence[str]) -> None:
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.distributed import initialize_global_process_group_ray
    from verl.workers.engine import EngineRegistry

    from rlvr.launch import dry_run

    config = dry_run.compose([word for word in words if "hydra.callbacks" not in word]).actor_rollout_ref
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    os.environ["MASTER_PORT"] = str(store.port)
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # the port above is taken already
    initialize_global_process_group_ray()
    actor, model = omega_conf_to_dataclass(config.actor), omega_conf_to_dataclass(config.model)
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=actor.strategy,
        model_config=model,
        engine_config=actor.engine,
        optimizer_config=actor.optim,
        checkpoint_config=actor.checkpoint,
    )
    engine.initialize()
    engine.load_checkpoint(str(saved), del_local_after_load=False)
    engine.save_checkpoint(str(target))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    load_and_save(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
