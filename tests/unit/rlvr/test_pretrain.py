"""The tiny model is made in float32 from beginning to end, by the same optimizer as torch's, and comes out the same every time."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rlvr.tiny.pretrain import Float32Muon, Recipe, pretrain
from rlvr.tiny.task import make_split


class Dtypes(TorchDispatchMode):
    """Every floating-point dtype that an operation puts out, with one operation that does."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[torch.dtype, str] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
                self.found.setdefault(leaf.dtype, str(func))
        return out


@pytest.fixture(scope="module")
def questions():
    return make_split(8, 8).pretrain


@pytest.fixture(autouse=True)
def threads():
    """``pretrain`` sets one thread for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_no_operation_leaves_float32(questions):
    with Dtypes() as dtypes:
        pretrain(questions, Recipe(steps=2))
    assert dtypes.found.keys() == {torch.float32}, dtypes.found


def test_the_optimizer_is_torchs_muon(questions):
    """Parameters (rows, columns) after three steps, to the precision of bfloat16; torch's own are what float32 is compared with."""
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 40), torch.randn(3, 24, 40)

    def stepped(optimizer_class):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = optimizer_class([parameter], lr=0.02, weight_decay=0.1)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            assert torch.equal(parameter.grad, gradient), "gradients are left alone"
        return parameter.detach() - start

    upstream, ours = stepped(torch.optim.Muon), stepped(Float32Muon)
    assert (ours - upstream).norm() < 0.02 * upstream.norm()
    assert not torch.equal(ours, upstream)


def test_the_same_bytes_every_time(questions):
    first, second = (pretrain(questions, Recipe(steps=3), seed=4)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
