"""The places of verl that hard-code a GPU or are slow without one, and have no hook; replaced here, on the CPU only.

Each must be replaced right after its module was imported, before others take it by name; :mod:`rlvr.plugin` sees to that.
"""

from typing import Any

import torch
from tensordict import TensorDict


def patch_process_group(distributed: Any) -> None:
    """verl builds ``cpu:gloo,<device>:<backend>``; on the CPU that names the device twice, which torch refuses."""
    upstream = distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        upstream(timeout_second, backend or "cpu:gloo")

    distributed.initialize_global_process_group_ray = initialize


def patch_offload(fsdp_engine: Any) -> None:
    """The reference model is offloaded "to the CPU" with pinned memory; here it is there already, and nothing can be pinned."""
    fsdp_engine.CPUOffloadPolicy = lambda pin_memory: None


def patch_row_selection(tensordict_utils: Any) -> None:
    """verl takes apart every sample of every field for each micro-batch: half of an update of 1,024 short samples.

    The same rows, cut out of the flat values of a jagged tensor; everything else still goes through upstream's function.
    """
    upstream = tensordict_utils.index_select_tensor_dict

    def select(batch: TensorDict | None, indices: torch.Tensor | list[int]) -> TensorDict | None:
        if batch is None:
            return upstream(batch, indices)
        rows = torch.as_tensor(indices)
        jagged = {name: field for name, field in batch.items() if is_flat_jagged(field)}
        selected = upstream(batch.exclude(*jagged), rows)
        for name, field in jagged.items():
            selected[name] = jagged_rows(field, rows)
        return selected

    tensordict_utils.index_select_tensor_dict = select


def is_flat_jagged(field: Any) -> bool:
    """A nested tensor of (samples, length), without gaps between the samples."""
    return isinstance(field, torch.Tensor) and field.is_nested and field.dim() == 2 and field._lengths is None


def jagged_rows(field: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``field`` (samples, length) restricted to ``rows`` (n,), in their order."""
    offsets = field.offsets()
    starts, lengths = offsets[rows], offsets.diff()[rows]
    ends = lengths.cumsum(0)
    begins = ends - lengths
    positions = torch.arange(int(ends[-1])) + (starts - begins).repeat_interleave(lengths)
    return torch.nested.nested_tensor_from_jagged(
        field.values()[positions],
        torch.cat([ends.new_zeros(1), ends]),
        min_seqlen=int(lengths.min()),  # without the two, padding goes by a bound that is too large
        max_seqlen=int(lengths.max()),
    )
