"""The weight on the loss of correct samples; on the engine it is tested in tests/integration."""

from types import SimpleNamespace

import pytest
import torch

from rlvr.training import advantage, learning_weight
from rlvr.training.learning_weight import weigh_correct_samples


class Batch(list):
    partition_id = "train"

    @property
    def keys(self):
        return list(self)


def nested(*rows):
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, [[0.3, 0.3], [1.0], [0.3, 0.3, 0.3]]),
        (nested([0.5, 1.0], [2.0], [1.0, 1.0, 0.0]), [[0.15, 0.3], [2.0], [0.3, 0.3, 0.0]]),
    ],
)
def test_weights_of_correct_samples_multiply_what_is_there(monkeypatch, written, expected):
    fields = {"response_mask": nested([1, 1], [1], [1, 1, 0]), "sample_correct": torch.tensor([[1.0], [0.0], [1.0]])}
    if written is not None:
        fields["rollout_is_weights"] = written
    stored = {}

    def get(keys, partition_id, select_fields):
        return {name: fields[name] for name in select_fields if name in fields}

    def put(keys, partition_id, fields):
        stored.update(fields.items())

    for module in (advantage, learning_weight):
        monkeypatch.setattr(module, "tq", SimpleNamespace(kv_batch_get=get, kv_batch_put=put))
    weigh_correct_samples(Batch("abc"), 0.3)
    rows = stored["rollout_is_weights"].unbind()
    assert [row.tolist() for row in rows] == [pytest.approx(row) for row in expected]
