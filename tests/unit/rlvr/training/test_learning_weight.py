"""The weight on the loss of correct samples; on the engine it is tested in tests/integration."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from rlvr.training import flat, learning_weight
from rlvr.training.learning_weight import weigh_correct_samples
from rlvr.training.trainer import DecomposedTrainer

TAGS = [{"sample_correct": one} for one in (1.0, 0.0, 1.0)]
BATCH = KVBatchMeta(keys=list("abc"), tags=TAGS, partition_id="train", fields=["response_mask", "advantages"])


def nested(*rows):
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def queue(monkeypatch, **written):
    """What TransferQueue stores; as the real one, it names all fields on the batch that ``kv_batch_put`` returns."""
    stored = {"response_mask": nested([1, 1], [1], [1, 1, 0]), **written}

    def get(keys, partition_id, select_fields):
        return {name: stored[name] for name in select_fields if name in stored}

    def put(keys, partition_id, fields):
        stored.update(fields.items())
        return KVBatchMeta(keys=keys, tags=[{}] * len(keys), partition_id=partition_id, fields=list(stored))

    monkeypatch.setattr(learning_weight, "tq", SimpleNamespace(kv_batch_get=get, kv_batch_put=put))
    return stored


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, [[0.3, 0.3], [1.0], [0.3, 0.3, 0.3]]),
        (nested([0.5, 1.0], [2.0], [1.0, 1.0, 0.0]), [[0.15, 0.3], [2.0], [0.3, 0.3, 0.0]]),
    ],
)
def test_weights_of_correct_samples_multiply_what_is_there(monkeypatch, written, expected):
    stored = queue(monkeypatch) if written is None else queue(monkeypatch, rollout_is_weights=written)
    weigh_correct_samples(BATCH, 0.3)
    rows = stored["rollout_is_weights"].unbind()
    assert [row.tolist() for row in rows] == [pytest.approx(row) for row in expected]


def test_workers_fetch_the_weights(monkeypatch):
    """They fetch the fields that the batch names: one that was named before the weights were put would leave them out."""
    queue(monkeypatch)
    monkeypatch.setattr(PPOTrainer, "_compute_advantage", lambda self, batch, metrics: batch)
    monkeypatch.setattr(flat, "applies", lambda config: False)
    trainer = DecomposedTrainer.__new__(DecomposedTrainer)
    trainer.config = OmegaConf.create({"algorithm": {"adv_estimator": "grpo", "positive_learning_weight": 0.3}})
    trainer.recorder = SimpleNamespace(read=lambda: None)
    batch = trainer._compute_advantage(BATCH, {})
    assert "rollout_is_weights" not in BATCH.fields
    assert "rollout_is_weights" in batch.fields
