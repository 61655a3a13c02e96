"""One batch through the trainer's own phases, from log-probs to metrics, without an engine: upstream's padded way and ours."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import trainer_base

from rlvr.training import flat
from rlvr.training import trainer as trainer_module
from rlvr.training.advantage import ADVANTAGE, CORRECT
from rlvr.training.trainer import DecomposedTrainer

PROMPT = 3


def jagged(rows):
    return torch.nested.as_nested_tensor([torch.as_tensor(row) for row in rows], layout=torch.jagged)


class Queue:
    """What TransferQueue stores of one batch."""

    def __init__(self, lengths: list[int], seed: int, padding: int = 0):
        draw = torch.Generator().manual_seed(seed)
        rows = len(lengths)

        def floats(extra=0):
            return jagged([-3 * torch.rand(n + extra, generator=draw) for n in lengths])

        masks = [torch.ones(n, dtype=torch.int64) for n in lengths]
        rewards = [torch.zeros(n) for n in lengths]
        for index in range(rows):
            rewards[index][-1] = float(torch.rand(1, generator=draw) < 0.5)
        for index in range(rows - padding, rows):
            masks[index][:], rewards[index][:] = 0, 0
        questions = [f"q{index // 2}" if index < rows - padding else "pad" for index in range(rows)]
        sessions = {question: 0 for question in questions}
        self.keys = []
        for question in questions:
            self.keys.append(f"{question}_{sessions[question]}_0")
            sessions[question] += 1
        self.fields = {
            "prompts": jagged([torch.zeros(PROMPT, dtype=torch.int64) for _ in lengths]),
            "responses": jagged([torch.zeros(n, dtype=torch.int64) for n in lengths]),
            "response_mask": jagged(masks),
            "rm_scores": jagged(rewards),
            "log_probs": floats(PROMPT),
            "entropy": floats(PROMPT),
            "rollout_log_probs": floats(),
            "uid": NonTensorStack(*questions),
            "num_turns": NonTensorStack(*[2] * rows),
        }
        self.tags = [
            {
                "prompt_len": PROMPT,
                "response_len": n,
                "seq_len": PROMPT + n,
                "min_global_steps": 3 + index % 2,
                "max_global_steps": 4,
                ADVANTAGE: torch.rand(1, generator=draw).item(),
                CORRECT: float(rewards[index].sum()),
                # Padding rows have the tags of the sample that they were made from, and no reward.
                **({"is_padding": True, CORRECT: 1.0} if index >= rows - padding else {}),
            }
            for index, n in enumerate(lengths)
        ]
        self.batch = KVBatchMeta(self.keys, self.tags, "train")

    def get(self, keys, partition_id, select_fields):
        place = {key: row for row, key in enumerate(self.keys)}
        rows = [place[key] for key in keys]

        def chosen(name):
            found = self.fields[name]
            if not isinstance(found, torch.Tensor):
                return NonTensorStack(*[found[row] for row in rows])
            parts = found.unbind()
            return jagged([parts[row] for row in rows]) if found.is_nested else found[rows]

        return TensorDict({name: chosen(name) for name in select_fields if name in self.fields}, batch_size=len(rows))

    def put(self, keys, partition_id, fields):
        self.fields.update(fields.items())
        return KVBatchMeta(keys, self.tags, partition_id)


CONFIG = {
    "algorithm": {
        "adv_estimator": "psr_nsr",
        "use_kl_in_reward": False,
        "gamma": 1.0,
        "lam": 1.0,
        "norm_adv_by_std_in_grpo": True,
        "positive_learning_weight": None,
        "rollout_correction": {"bypass_mode": False, "rollout_is": None, "rollout_rs": None},
    },
    "critic": {"enable": None},
    "actor_rollout_ref": {
        "model": {},
        "actor": {
            "loss_agg_mode": "token-mean",
            "loss_scale_factor": None,
            "ppo_epochs": 2,
            "calculate_entropy": False,
            "entropy_coeff": 0.0,
            "policy_loss": {"loss_mode": "decomposed"},
        },
        "rollout": {"n": 2, "temperature": 1.0, "calculate_log_probs": True},
    },
}


def trainer(estimator: str) -> DecomposedTrainer:
    one = DecomposedTrainer.__new__(DecomposedTrainer)
    one.config = OmegaConf.create(CONFIG)
    one.config.algorithm.adv_estimator = estimator
    one.mini_batches, one.use_critic, one.step_is_skipped = 1, False, False
    one.actor_rollout_wg = SimpleNamespace(compute_log_prob=lambda batch: batch)
    one.resource_pool_manager = SimpleNamespace(get_n_gpus=lambda: 8)
    one.metrics_log = SimpleNamespace(append=lambda step, metrics: None)
    one.recorder = SimpleNamespace(read=lambda: None, finish=lambda step: None, lost=0, takes_the_step=True)
    one.recovery = SimpleNamespace(metrics=dict)
    one._rollout_moe_lb_metrics_accumulator = None
    return one


def step(estimator: str, queue: Queue, *, padded: bool, batched: bool = True) -> dict:
    """Metrics of a step from the log-probs on, by upstream's way or ours; what it stores is in ``queue.fields``.

    ``batched``: whether the rollouts were made by our workers.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        stub = SimpleNamespace(kv_batch_get=queue.get, kv_batch_put=queue.put)
        for module in (flat, trainer_base):
            monkeypatch.setattr(module, "tq", stub)
        monkeypatch.setattr(flat, "applies", lambda config: not padded)
        monkeypatch.setattr(trainer_module, "is_batched", lambda config: batched)
        return run(trainer(estimator), queue)


def run(one: DecomposedTrainer, queue: Queue) -> dict:
    metrics: dict = {}
    batch = one._compute_old_log_prob(queue.batch, metrics)
    batch = one._compute_advantage(batch, metrics)
    one._compute_metrics(batch, metrics, {"step": 3.0, "gen": 1.0, "adv": 0.5}, global_steps=5, epoch=0)
    return metrics
