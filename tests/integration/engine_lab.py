"""verl's training engine without Ray, in one or two gloo processes: log-probs of a batch, two updates, and what they leave.

    torchrun … tests/integration/engine_lab.py FOLDER        (driven by tests/integration/test_engine_lab.py)

Reads FOLDER/cases.json, ``{name: [key=value …]}`` on the tiny CPU configuration, and writes FOLDER/NAME.N.pt for N processes with
``outputs`` (log-probs or values of each sample) and ``weights``. A case whose name begins with ``critic`` trains a critic, one with
``tied`` the model whose embeddings are one matrix; one that ends in ``plain`` computes all samples at once, and one in ``saved``
writes a checkpoint to FOLDER/NAME.N instead of updating.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from tensordict import TensorDict
from torch.distributed.tensor import DTensor
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.utils.losses import ppo_loss, value_loss

from rlvr.launch import dry_run

LENGTHS = [(3, 5), (2, 1), (4, 7), (1, 2), (5, 5), (2, 6), (3, 3), (4, 1)]  # prompt and response of each sample
UPDATES = 2
BUDGET = 24  # tokens of a micro-batch: two or more of them for each process
WHOLE = 1000


def jagged(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def samples(vocabulary: int) -> list[dict[str, torch.Tensor]]:
    """The same for every case."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for number, (prompt, response) in enumerate(LENGTHS):
        ids = torch.randint(3, vocabulary, (prompt + response,), generator=generator)
        advantage = -1.0 if number % 3 else 0.5
        rows.append(
            {
                "input_ids": ids,
                "prompts": ids[:prompt],
                "responses": ids[prompt:],
                "position_ids": torch.arange(prompt + response),
                "response_mask": torch.ones(response, dtype=torch.int64),
                "loss_mask": torch.ones(response, dtype=torch.int64),
                "old_log_probs": -torch.rand(response, generator=generator) - 3,
                "advantages": torch.full((response,), advantage),
                "values": torch.zeros(response),
                "returns": torch.rand(response, generator=generator),
            }
        )
    return rows


def batch_of(rows: list[dict[str, torch.Tensor]], engine: Any, padding: bool, budget: int) -> TensorDict:
    ranks, rank = engine.get_data_parallel_size(), engine.get_data_parallel_rank()
    mine = rows[rank::ranks]
    data = TensorDict({name: jagged([row[name] for row in mine]) for name in mine[0]}, batch_size=len(mine))
    tu.assign_non_tensor(
        data,
        temperature=1.0,
        use_remove_padding=not padding,
        use_fused_kernels=engine.model_config.use_fused_kernels,
        use_dynamic_bsz=True,
        max_token_len_per_gpu=budget,
        calculate_entropy=True,
        global_batch_size=len(rows),
        pad_token_id=0,
    )
    return data


def build(name: str, config: Any) -> tuple[Any, Callable]:
    """Engine and loss, as ``verl.workers.engine_workers`` makes them."""
    critic = name.startswith("critic")
    section = config.critic if critic else config.actor_rollout_ref.actor
    dataclass = omega_conf_to_dataclass(section)
    model = omega_conf_to_dataclass(config.critic.model if critic else config.actor_rollout_ref.model)
    model.model_type = "value_model" if critic else "language_model"
    engine_config = dataclass.engine
    engine_config.use_remove_padding = model.use_remove_padding
    torch.manual_seed(0)
    engine = EngineRegistry.new(
        model_type=model.model_type,
        backend=engine_config.strategy,
        model_config=model,
        engine_config=engine_config,
        optimizer_config=dataclass.optim,
        checkpoint_config=dataclass.checkpoint,
    )
    engine.initialize()
    return engine, partial(value_loss if critic else ppo_loss, config=dataclass)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def run(name: str, overrides: list[str], folder: Path) -> None:
    config = dry_run.compose(
        [
            "--config-name=ppo",
            "base_model=tiny",
            "machine=cpu",
            "trainer.experiment_name=lab",
            f"actor_rollout_ref.model.path={folder}/{'tied' if name.startswith('tied') else 'model'}",
            "++actor_rollout_ref.model.load_tokenizer=false",
            "++critic.model.load_tokenizer=false",
            "++actor_rollout_ref.model.custom_chat_template=null",
            "++critic.model.custom_chat_template=null",
            "actor_rollout_ref.actor.optim.lr=0.01",
            "critic.optim.lr=0.01",
            *overrides,
        ]
    )
    engine, loss = build(name, config)
    ranks = torch.distributed.get_world_size()
    rows = samples(engine.model_config.hf_config.vocab_size)
    if name.endswith("saved"):
        engine.save_checkpoint(str(folder / f"{name}.{ranks}"))
        return
    padding, budget = not engine.model_config.use_remove_padding, WHOLE if name.endswith("plain") else BUDGET
    field = "values" if name.startswith("critic") else "log_probs"
    with engine.eval_mode():
        found = engine.infer_batch(batch_of(rows, engine, padding, budget))["model_output"][field].unbind()
    # A sample's outputs at the tokens that predict its response; the rest of log-probs is nobody's business.
    mine = rows[engine.get_data_parallel_rank() :: engine.get_data_parallel_size()]
    outputs = [one[len(row["prompts"]) - 1 : -1] for one, row in zip(found, mine, strict=True)]
    with engine.train_mode():
        norms = [
            engine.train_batch(batch_of(rows, engine, padding, budget), loss)["metrics"].get("grad_norm")
            for _ in range(UPDATES)
        ]
    gathered: list[Any] = [None] * ranks
    torch.distributed.all_gather_object(gathered, (engine.get_data_parallel_rank(), outputs))
    by_rank = dict(gathered)
    ordered = [by_rank[number % len(by_rank)][number // len(by_rank)] for number in range(len(rows))]
    weights = {key: whole(value) for key, value in engine.module.state_dict().items()}
    if torch.distributed.get_rank() == 0:
        record = {"outputs": ordered, "weights": weights, "gradient_norms": norms}
        torch.save(record, folder / f"{name}.{ranks}.pt")


def main(folder: Path) -> None:
    from torch.distributed.fsdp import CPUOffloadPolicy

    # The plugin leaves offloading out on the CPU, where nothing is gained by it; here it is what is tried.
    transformer_impl.CPUOffloadPolicy = lambda pin_memory: CPUOffloadPolicy(pin_memory=False)
    initialize_global_process_group_ray()
    for name, overrides in json.loads((folder / "cases.json").read_text()).items():
        run(name, overrides, folder)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("RANK", "0")
    main(Path(sys.argv[1]))
