"""The partitions are verl's: which samples lie together, and in which order the partitions come."""

import importlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.utils import seqlen_balancing

from rlvr.training.balance import largest_differencing

UPSTREAM = importlib.util.module_from_spec(seqlen_balancing.__spec__)
UPSTREAM.__spec__.loader.exec_module(UPSTREAM)  # as if no plugin were there


@st.composite
def lengths_and_parts(draw):
    """Lengths of which many or few are equal; a number of partitions, sometimes a divisor of theirs."""
    equal_size = draw(st.booleans())
    parts = draw(st.integers(1, 20))
    most = draw(st.sampled_from([1, 3, 30, 30_000]))
    samples = parts * draw(st.integers(1, 6)) if equal_size else draw(st.integers(parts, 80))
    return draw(st.lists(st.integers(0, most), min_size=samples, max_size=samples)), parts, equal_size


@given(lengths_and_parts())
def test_partitions_are_those_of_verl(case):
    lengths, parts, equal_size = case
    theirs = UPSTREAM.karmarkar_karp(lengths, parts, equal_size)
    assert largest_differencing(lengths, parts, equal_size) == theirs
    assert largest_differencing(torch.tensor(lengths), parts, equal_size) == theirs


def test_many_samples():
    lengths = torch.randint(1, 3072, (2048,), generator=torch.Generator().manual_seed(0)).tolist()
    for parts in (8, 100):
        assert largest_differencing(lengths, parts, False) == UPSTREAM.karmarkar_karp(lengths, parts, False)


def test_verl_uses_it():
    assert seqlen_balancing.karmarkar_karp is largest_differencing
    lengths = [5, 9, 2, 7]
    partitions = seqlen_balancing.get_seqlen_balanced_partitions(torch.tensor(lengths), 2, equal_size=True)
    assert partitions == UPSTREAM.get_seqlen_balanced_partitions(lengths, 2, equal_size=True)


def test_equal_sizes_need_a_multiple():
    with pytest.raises(AssertionError, match="5 % 2 != 0"):
        largest_differencing([1, 2, 3, 4, 5], 2, equal_size=True)
