"""Samples of a step, made up."""

from typing import Any

import torch
from hypothesis import strategies as st

from rlvr.methods import make, make_batch
from rlvr.methods.selection import Selection, select


@st.composite
def groups_of_samples(draw: Any) -> tuple[list[int], list[int]]:
    """(rewards, groups): up to 5 questions of 1 to 8 samples each, interleaved."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    groups = draw(st.permutations([group for group, size in enumerate(sizes) for _ in range(size)]))
    rewards = draw(st.lists(st.integers(0, 1), min_size=len(groups), max_size=len(groups)))
    return rewards, groups


def decide(
    rewards: Any,
    groups: Any,
    method: str | None,
    sample_selection: str = "drop",
    zero_variance: str | None = None,
    learnable: torch.Tensor | None = None,
    **settings: Any,
) -> Selection:
    """What becomes of the samples of a step."""
    batch = make_batch(rewards, groups)
    if learnable is None:
        learnable = torch.ones(len(batch.rewards), dtype=torch.bool)
    chosen = None if method is None else make(method, settings)
    return select(batch, learnable, chosen, sample_selection, zero_variance)
