"""``algorithm.positive_learning_weight``: a weight on the loss of correct samples, for GRPO and PPO."""

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from rlvr.training.advantage import CORRECT, read


def weigh_correct_samples(batch: KVBatchMeta, weight: float) -> KVBatchMeta:
    """Multiply the loss of correct samples by ``weight``; go on with the batch that is returned.

    Workers fetch the fields that a batch names, and only the returned one names the weights.

    ``rollout_is_weights`` is the one field of a sample that verl multiplies into every policy loss, token by token; where
    rollout correction has already written it, the two weights multiply.
    """
    fields = ["response_mask", "rollout_is_weights"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    sample_weights = torch.where(read(batch.tags, CORRECT) == 1, weight, 1.0)
    offsets = data["response_mask"].offsets()
    weights = sample_weights.repeat_interleave(offsets.diff())
    if "rollout_is_weights" in data.keys():  # noqa: SIM118
        weights = weights * data["rollout_is_weights"].values()
    nested = torch.nested.nested_tensor_from_jagged(weights, offsets)
    fields_to_put = TensorDict({"rollout_is_weights": nested}, batch_size=len(batch))
    return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields_to_put)
