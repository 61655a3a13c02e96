"""Unbiased pass@k, used by the training metrics and by the evaluation.

    pass@k = E_questions [ 1 − C(n − c, k) / C(n, k) ]    n samples of a question, c of them correct

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", https://arxiv.org/abs/2107.03374, eq. 1. verl's own
``best@N`` draws with replacement, which is biased; it is not used here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pass_at_k(n: int, correct: Sequence[int] | NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Probability that at least one of ``k`` samples drawn without replacement from ``n`` is correct, for each question.

    Args:
        n: samples of each question.
        correct: (questions,) correct samples of each question, ``0 <= c <= n``.
        k: ``1 <= k <= n``.

    Returns:
        (questions,) float64. Its mean is pass@k.

    Raises:
        ValueError: if k or a count is out of range.
    """
    counts = np.asarray(correct, dtype=np.int64)
    if not 1 <= k <= n:
        raise ValueError(f"pass@k needs 1 <= k <= n, got k = {k}, n = {n}")
    if counts.size and (counts.min() < 0 or counts.max() > n):
        raise ValueError(f"correct counts must lie in 0 .. {n}, got {counts.min()} .. {counts.max()}")
    # C(n − c, k) / C(n, k) = Π_{i<k} (n − c − i) / (n − i); a factor reaches zero when fewer than k samples are incorrect.
    steps = np.arange(k)
    factors = np.clip(n - counts[:, None] - steps, 0, None) / (n - steps)
    return 1.0 - factors.prod(axis=1)


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4, … up to ``n``: the k at which pass@k is reported."""
    return [2**i for i in range(n.bit_length()) if 2**i <= n]
