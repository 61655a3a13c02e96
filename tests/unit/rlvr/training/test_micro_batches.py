"""The rows of a micro-batch are those that verl selects."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import NonTensorData, TensorDict
from verl.utils import tensordict_utils

from rlvr.training.micro_batches import selecting_flat


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=12), data=st.data())
def test_rows_are_those_that_upstream_selects(lengths, data):
    """Jagged, dense and jagged (samples, heads, length) fields, and plain values."""
    upstream = tensordict_utils.index_select_tensor_dict.__wrapped__
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=12))
    samples = [torch.rand(length) for length in lengths]
    heads = [torch.rand(2, length) for length in lengths]
    batch = TensorDict(
        {
            "jagged": torch.nested.as_nested_tensor(samples, layout=torch.jagged),
            "heads": tensordict_utils.nested_tensor_from_tensor_list(heads),
            "dense": torch.arange(len(lengths)),
        },
        batch_size=len(lengths),
    )
    batch["setting"] = NonTensorData("value", batch_size=[])
    ours, theirs = selecting_flat(upstream)(batch, rows), upstream(batch, rows)
    assert set(ours.keys()) == set(theirs.keys())
    assert ours["dense"].equal(theirs["dense"])
    assert ours["setting"] == theirs["setting"] == "value"
    for name in ("jagged", "heads"):
        assert all(a.equal(b) for a, b in zip(ours[name].unbind(), theirs[name].unbind(), strict=True))
    assert ours["jagged"].offsets().tolist() == theirs["jagged"].offsets().tolist()
    assert ours["jagged"].to_padded_tensor(0.0).equal(theirs["jagged"].to_padded_tensor(0.0))
