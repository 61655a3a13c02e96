"""What the training workers fetch of a batch: the tensors that they read.

verl's workers fetch every field of every sample: prompt texts and records, which cost more than a small model's forward pass, and
what the trainer and the sampler keep there for themselves, a third of all bytes. Left out is only what is known to be read by no
worker, so that a field of your own reaches yours.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transfer_queue import KVBatchMeta
from verl.utils.transferqueue_utils import kv_batch_meta2batch_meta

# Read by the trainer alone; outputs of workers that it stores again under other names.
OF_TRAINER = {"rm_scores", "token_level_rewards", "rollout_log_probs", "log_probs", "entropy"}
# Read by losses alone; responses are not, because rlvr.cpu.engine computes log-probs of nothing else.
OF_LOSSES = {
    "response_mask",
    "old_log_probs",
    "ref_log_prob",
    "advantages",
    "returns",
    "values",
    "rollout_is_weights",
}
OF_LOG_PROBS = OF_TRAINER | OF_LOSSES | {"prompts"}  # losses read their lengths
# A worker group's method -> what it does not read.
UNREAD = {
    "compute_log_prob": OF_LOG_PROBS,
    "compute_ref_log_prob": OF_LOG_PROBS,
    "infer_batch": OF_TRAINER | OF_LOSSES,
    "update_actor": OF_TRAINER | {"returns", "values"},
    "train_mini_batch": OF_TRAINER | {"old_log_probs", "ref_log_prob", "advantages", "rollout_is_weights"},
}


def send_tensors_only(worker_group: Any) -> None:
    """Have the methods of a worker group fetch the tensors that they read."""
    for name, unread in UNREAD.items():
        if hasattr(worker_group, name):
            setattr(worker_group, name, on_tensors(getattr(worker_group, name), unread))


def on_tensors(method: Callable[[KVBatchMeta], Any], unread: set[str]) -> Callable[[KVBatchMeta], Any]:
    """A worker group's method that sees only the fields of a batch that are tensors, and not ``unread`` ones."""

    @functools.wraps(method)
    def call(batch: KVBatchMeta) -> Any:
        schema = kv_batch_meta2batch_meta(batch.select_keys(one_of_each_kind(batch))).field_schema
        return method(dataclasses.replace(batch, fields=tensor_fields(schema, unread)))

    return call


def one_of_each_kind(batch: KVBatchMeta) -> list[str]:
    """Keys of a sample and of a padding row, which have the same fields as all others of their kind.

    The schema of a whole batch holds the shape of every field of every sample.
    """
    kinds = {bool(tag.get("is_padding", False)): key for key, tag in zip(batch.keys, batch.tags)}
    return list(kinds.values())


def tensor_fields(schema: Mapping[str, Mapping[str, Any]], unread: Sequence[str] | set[str] = ()) -> list[str]:
    """Names of the fields that TransferQueue stores as tensors, without ``unread``."""
    return [name for name, field in schema.items() if not field["is_non_tensor"] and name not in unread]
