"""Samples on their way through TransferQueue: one buffer a field, where TransferQueue sends one a row.

Its ``SimpleStorage`` sends every row of every field as a frame of the message, each with a description of its own. A step of 8,192
samples fetches and stores about twenty fields, and making, receiving and describing 160,000 frames costs more than what is in
them. Here the rows of a field travel end to end in one buffer, with their lengths. What the storage keeps, and what whoever
fetches it gets, is as before; rows that do not go together (no tensors, other types or shapes) travel as they did. Installed by
:mod:`rlvr.plugin` in the place of ``SimpleStorage``, whose settings are valid as they are.
"""

from collections.abc import Sequence
from typing import Any

import ray
import torch
from transfer_queue.storage.managers.base import StorageManagerFactory
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from transfer_queue.storage.simple_storage import SimpleStorageUnit
from transfer_queue.utils.zmq_utils import ZMQMessage

VALUES, LENGTHS = "values of rows", "lengths of rows"  # the keys of a packed field


# ---- a field


def packed(rows: Any) -> Any:
    """Tensors (length of the row, …) as one (all rows, …) and their lengths; anything else as it is.

    Rows without a dimension are numbers: their lengths are None.
    """
    if is_jagged(rows):
        return {VALUES: rows.values(), LENGTHS: rows.offsets().diff()}
    if not isinstance(rows, list) or len(rows) < 2 or not alike(rows):
        return rows
    if rows[0].dim() == 0:
        return {VALUES: torch.stack(rows), LENGTHS: None}
    return {VALUES: torch.cat(rows), LENGTHS: torch.tensor([len(row) for row in rows])}


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
    """The rows of a :func:`packed` field, views of its one tensor; anything else as it is."""
    if not isinstance(field, dict) or VALUES not in field:
        return field
    values, lengths = field[VALUES], field[LENGTHS]
    return list(values.unbind() if lengths is None else values.split(lengths.tolist()))


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
