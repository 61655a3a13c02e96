"""Samples on their way through TransferQueue: a few buffers a field, where TransferQueue sends one a row.

Its ``SimpleStorage`` sends every row of every field as a frame of the message, each with a description of its own. A step of 8,192
samples fetches and stores about twenty fields, and making, receiving and describing 160,000 frames costs more than what is in
them. Here the rows of a field travel end to end in a few buffers, with their lengths. What the storage keeps, and what whoever
fetches it gets, is as before; rows that do not go together (no tensors, other types or shapes) travel as they did. Installed by
:mod:`rlvr.plugin` in the place of ``SimpleStorage``, whose settings are valid as they are.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import ray
import torch
from transfer_queue.storage.managers.base import StorageManagerFactory
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from transfer_queue.storage.simple_storage import SimpleStorageUnit
from transfer_queue.utils.zmq_utils import ZMQMessage

BLOCKS = "blocks of rows"  # the key of a packed field
# Bytes of a block. The C library asks the kernel for one of over 32 MB anew each time, and all its pages are then cleared.
BLOCK_BYTES = 8 * 2**20


# ---- a field


def packed(rows: Any) -> Any:
    """Tensors (length of the row, …) as a few blocks, each with its rows (all lengths, …) and their lengths; else as it is.

    Rows without a dimension are numbers: their lengths are None.
    """
    if is_jagged(rows):
        lengths, values = rows.offsets().diff(), rows.values()
        counts = block_counts(lengths.tolist(), bytes_of_one(values))
        parts = lengths.split(counts)
        return {BLOCKS: list(zip(values.split([int(part.sum()) for part in parts]), parts))}
    if not isinstance(rows, list) or len(rows) < 2 or not alike(rows):
        return rows
    if rows[0].dim() == 0:
        return {BLOCKS: [(torch.stack(rows), None)]}
    lengths = torch.tensor([len(row) for row in rows])
    ends = list(accumulate(block_counts(lengths.tolist(), bytes_of_one(rows[0]))))
    return {BLOCKS: [(torch.cat(rows[begin:end]), lengths[begin:end]) for begin, end in zip([0, *ends], ends)]}


def block_counts(lengths: Sequence[int], of_one: int) -> list[int]:
    """Rows of each block: as many as have ``BLOCK_BYTES``, one at least; ``of_one``: bytes for each unit of length."""
    counts: list[int] = []
    size = 0
    for length in lengths:
        size += length * of_one
        if not counts or size > BLOCK_BYTES:
            counts.append(0)
            size = length * of_one
        counts[-1] += 1
    return counts


def bytes_of_one(rows: torch.Tensor) -> int:
    """Of what a row has once for each unit of its length."""
    return rows.element_size() * math.prod(rows.shape[1:])


def alike(rows: Sequence[Any]) -> bool:
    """Whether these are tensors that differ in nothing but their first dimension."""
    first = rows[0]
    if not isinstance(first, torch.Tensor) or first.is_nested or first.layout != torch.strided:
        return False
    kind, dimensions, inner = first.dtype, first.dim(), first.shape[1:]
    return all(
        isinstance(row, torch.Tensor)
        and row.dtype == kind
        and row.dim() == dimensions
        and (dimensions < 2 or row.shape[1:] == inner)
        for row in rows
    )


def is_jagged(field: Any) -> bool:
    """Whether its rows, (length of the row, …), already lie end to end."""
    return (
        isinstance(field, torch.Tensor)
        and field.layout == torch.jagged
        and field._ragged_idx == 1
        and field.lengths() is None
    )


def unpacked(field: Any) -> Any:
    """The rows of a :func:`packed` field, views of its blocks; anything else as it is."""
    if not isinstance(field, dict) or BLOCKS not in field:
        return field
    return [
        row
        for values, lengths in field[BLOCKS]
        for row in (values.unbind() if lengths is None else values.split(lengths.tolist()))
    ]


# ---- both ends of the way


class PackedStorageManager(AsyncSimpleStorageManager):
    """TransferQueue's client of its storage units, in every process that stores or fetches."""

    @staticmethod
    def _select_by_positions(field_data: Any, positions: list[int]) -> Any:
        """The rows of a field that go to one unit; where there is but one, they need not be taken apart."""
        if is_jagged(field_data) and positions == list(range(len(field_data))):
            return field_data
        return AsyncSimpleStorageManager._select_by_positions(field_data, positions)

    async def _put_to_single_storage_unit(
        self, global_indexes: list[int], storage_data: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        if kwargs.get("data_parser") is None:
            storage_data = {name: packed(field) for name, field in storage_data.items()}
        else:  # it is given rows
            storage_data = {
                name: list(field.unbind()) if is_jagged(field) else field for name, field in storage_data.items()
            }
        await super()._put_to_single_storage_unit(global_indexes, storage_data, *args, **kwargs)

    async def notify_data_update(
        self, partition_id: str, global_indexes: list[int], field_schema: dict[str, dict[str, Any]], *args: Any
    ) -> None:
        """The controller remembers the shape of every row, and whoever fetches a field is sent all of them: nobody reads them."""
        schema = {
            name: field | {"per_sample_shapes": {}} if field["is_nested"] else field
            for name, field in field_schema.items()
        }
        await super().notify_data_update(partition_id, global_indexes, schema, *args)

    async def _get_from_single_storage_unit(self, *args: Any, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        names, data = await super()._get_from_single_storage_unit(*args, **kwargs)
        return names, {name: unpacked(field) for name, field in data.items()}


class PackedStorageUnit(SimpleStorageUnit.__ray_metadata__.modified_class.__ray_actor_class__):
    """A storage unit; a Ray actor."""

    def _handle_put(self, data_parts: ZMQMessage) -> ZMQMessage:
        fields = data_parts.body["data"]
        # Copies: a row is kept, saved and removed without its neighbours.
        data_parts.body["data"] = {
            name: [row.clone() for row in unpacked(field)] if isinstance(field, dict) else field
            for name, field in fields.items()
        }
        return super()._handle_put(data_parts)

    def _handle_get(self, data_parts: ZMQMessage) -> ZMQMessage:
        answer = super()._handle_get(data_parts)
        if "data" in answer.body:
            answer.body["data"] = {name: packed(rows) for name, rows in answer.body["data"].items()}
        return answer


def install_manager() -> None:
    """After ``transfer_queue.storage.managers.simple_storage_manager`` has registered its own."""
    StorageManagerFactory.register("SimpleStorage")(PackedStorageManager)


def install_unit(bootstrap: Any) -> None:
    """``transfer_queue.storage.bootstrap.simple_storage_bootstrap``, which starts the units."""
    bootstrap.SimpleStorageUnit = ray.remote(num_cpus=1)(PackedStorageUnit)
