"""The rows of a micro-batch, cut out of a worker's batch without taking every sample of it apart.

For each micro-batch verl makes a tensor of every sample of every jagged field of the whole batch, which is quadratic in the size of
the batch. verl has no hook for it. Which rows belong together is :mod:`rlvr.training.balance`'s.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict

Select = Callable[[TensorDict | None, torch.Tensor | list[int]], TensorDict | None]


def selecting_flat(upstream: Select) -> Select:
    """``verl.utils.tensordict_utils.index_select_tensor_dict`` with jagged (samples, length) fields cut out of their flat values.

    Everything else still goes through upstream's function.
    """

    @functools.wraps(upstream)
    def select(batch: TensorDict | None, indices: torch.Tensor | list[int]) -> TensorDict | None:
        if batch is None:
            return upstream(batch, indices)
        rows = torch.as_tensor(indices)
        jagged = {name: field for name, field in batch.items() if is_flat_jagged(field)}
        selected = upstream(batch.exclude(*jagged), rows)
        assert selected is not None  # as the batch is not
        selected.update({name: jagged_rows(field, rows) for name, field in jagged.items()})
        return selected

    return select


def is_flat_jagged(field: Any) -> bool:
    """A nested tensor of (samples, length), without gaps between the samples."""
    return isinstance(field, torch.Tensor) and field.is_nested and field.dim() == 2 and field._lengths is None


def jagged_rows(field: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``field`` (samples, length) restricted to ``rows`` (n,), in their order."""
    offsets = field.offsets()
    rows = rows.to(offsets.device)
    starts, lengths = offsets[rows], offsets.diff()[rows]
    ends = lengths.cumsum(0)
    begins = ends - lengths
    positions = torch.arange(int(ends[-1]), device=offsets.device) + (starts - begins).repeat_interleave(lengths)
    return torch.nested.nested_tensor_from_jagged(
        field.values()[positions],
        torch.cat([ends.new_zeros(1), ends]),
        min_seqlen=int(lengths.min()),  # without the two, padding goes by a bound that is too large
        max_seqlen=int(lengths.max()),
    )
