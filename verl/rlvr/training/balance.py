"""verl's balanced partitions, samples over workers and into micro-batches, without what is quadratic in them.

verl partitions by the largest differencing method (Karmarkar and Karp, 1982;
https://en.wikipedia.org/wiki/Largest_differencing_method). It gives each of n samples k sets of its own, k - 1 of them empty, as
Python objects; and compares the elements of a tensor where the trainer spreads samples over workers. Here only sets that are not
empty exist, as tuples. The partitions are the same. verl has no hook for it.
"""

import heapq
from bisect import insort
from collections.abc import Sequence

import torch

# (sum, number of items, items): compared in this order, as verl compares its sets. An item: (index of the sample, its length).
Set = tuple[int, int, list[tuple[int, int]]]


class State:
    """Sets that are not empty, ascending, of ``k``."""

    __slots__ = ("sets", "spread")

    def __init__(self, sets: list[Set], k: int):
        self.sets = sets
        self.spread = sets[-1][0] - (sets[0][0] if len(sets) == k else 0)

    def __lt__(self, other: "State") -> bool:
        """The first of a heap has the largest spread, then the largest set."""
        if self.spread != other.spread:
            return self.spread > other.spread
        return self.sets[-1] > other.sets[-1]


def largest_differencing(
    seqlen_list: Sequence[int] | torch.Tensor, k_partitions: int, equal_size: bool
) -> list[list[int]]:
    """As ``verl.utils.seqlen_balancing.karmarkar_karp``: indices of ``seqlen_list`` (n,) in ``k_partitions`` lists of like sums.

    Raises:
        AssertionError: ``equal_size`` where n is no multiple of ``k_partitions``, as in verl.
    """
    lengths = seqlen_list.tolist() if isinstance(seqlen_list, torch.Tensor) else seqlen_list
    k = k_partitions
    of_a_state = k if equal_size else 1
    assert len(lengths) % of_a_state == 0, f"{len(lengths)} % {k} != 0"
    ascending: list[Set] = sorted((length, 1, [(index, length)]) for index, length in enumerate(lengths))
    states = [State(ascending[i : i + of_a_state], k) for i in range(0, len(ascending), of_a_state)]
    heapq.heapify(states)
    while len(states) > 1:
        first = heapq.heappop(states)
        heapq.heapreplace(states, State(merge(first.sets, states[0].sets, k), k))
    partitions = [[index for index, _ in items] for _, _, items in reversed(states[0].sets)]
    return partitions + [[] for _ in range(k - len(partitions))]


def merge(one: list[Set], other: list[Set], k: int) -> list[Set]:
    """The largest set of ``one`` with the smallest of ``other``, and so on, where each has ``k`` with its empty ones; ascending."""
    if len(other) == 1 and len(one) < k:
        insort(one, other[0])
        return one
    together = max(len(one) + len(other) - k, 0)  # sets of both that meet no empty one
    met = [union(a, b) for a, b in zip(reversed(one[:together]), other[:together])]
    return sorted(one[together:] + met + other[together:])


def union(one: Set, other: Set) -> Set:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
