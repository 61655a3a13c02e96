"""What the training workers fetch of a batch: its tensors, and not every sample's prompt text and records as well."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from transfer_queue import KVBatchMeta
from verl.utils.transferqueue_utils import kv_batch_meta2batch_meta

METHODS = ("compute_log_prob", "compute_ref_log_prob", "update_actor", "infer_batch", "train_mini_batch")


def send_tensors_only(worker_group: Any) -> None:
    """verl's workers fetch every field of a batch; the others cost more than a small model's forward pass."""
    for name in METHODS:
        if hasattr(worker_group, name):
            setattr(worker_group, name, on_tensors(getattr(worker_group, name)))


def on_tensors(method: Callable[[KVBatchMeta], Any]) -> Callable[[KVBatchMeta], Any]:
    """A worker group's method that sees only the fields of a batch that are tensors."""

    @functools.wraps(method)
    def call(batch: KVBatchMeta) -> Any:
        schema = kv_batch_meta2batch_meta(batch).field_schema
        return method(dataclasses.replace(batch, fields=tensor_fields(schema)))

    return call


def tensor_fields(schema: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the fields that TransferQueue stores as tensors."""
    return [name for name, field in schema.items() if not field["is_non_tensor"]]
