"""maj@k: the probability that the most frequent answer of k samples, drawn without replacement, is right.

    maj@k = Σ_j C(c, j) · [x^(k−j)] Q_j(x) / C(n, k)          j of the c right samples are drawn
    Q_j   = (1 + x)^(a + s) · ∫₀¹ Π_i ( Σ_{v<j} C(m_i, v) x^v + y · C(m_i, j) x^j ) dy

with wrong answers given m_1, m_2, … times, s the sum of those given fewer than j times (they cannot win), and a samples without
an answer, which do not vote. A tie with t wrong answers is broken at random: ∫ y^t dy = 1 / (t + 1), and the integral over the
polynomial in y is exact by Gauss-Legendre quadrature. All terms are positive, so nothing cancels.

Right answers count as one answer however they are written, because the grader said that each equals the gold answer; wrong
answers are told apart by their text. Deliberately left out: draws with a chance below 1e-15, and n above 1,000 (the binomial
coefficients leave the range of float64).
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_SAMPLES = 1000
NEGLIGIBLE = 1e-15

Floats = NDArray[np.float64]


@lru_cache(maxsize=65536)  # many questions share their counts: all right, all wrong
def majority_at_k(right: int, wrong: tuple[int, ...], abstained: int, ks: tuple[int, ...]) -> Floats:
    """maj@k of one question for each k.

    Args:
        right: samples with the right answer.
        wrong: how often each wrong answer was given.
        abstained: samples without an answer.

    Raises:
        ValueError: if k is out of range, or there are more than ``MAX_SAMPLES`` samples.
    """
    n = right + sum(wrong) + abstained
    if n > MAX_SAMPLES or not all(1 <= k <= n for k in ks):
        raise ValueError(f"maj@k needs 1 <= k <= n <= {MAX_SAMPLES}, got k = {ks}, n = {n}")
    table = _binomials(n)
    draws, k = np.arange(1, right + 1), np.array(ks)
    rest = k - draws[:, None]  # how many of the k are not right
    chances = table[right, draws, None] * table[n - right, np.maximum(rest, 0)] / table[n, k] * (rest >= 0)
    most = max(wrong, default=0)
    result = chances[most:].sum(axis=0)  # no rival was given often enough
    for j in range(1, min(right, most) + 1):
        relevant = np.flatnonzero(chances[j - 1] > NEGLIGIBLE)
        if not len(relevant):
            continue
        rivals = [m for m in wrong if m >= j]
        others = table[n - right - sum(rivals)]
        product = _rivals_do_not_win(rivals, j, max(ks[i] for i in relevant) - j, table)
        for i in relevant:
            left = ks[i] - j
            ways = product[: left + 1] @ others[left::-1]
            result[i] += table[right, j] * ways / table[n, ks[i]]
    return result


def _rivals_do_not_win(rivals: Sequence[int], j: int, degree: int, table: Floats) -> Floats:
    """Coefficients of the integral above, up to x^degree."""
    ties = min(len(rivals), degree // j)
    nodes, weights = _quadrature(ties // 2 + 1)
    product = np.zeros((len(nodes), degree + 1))
    product[:, 0] = 1.0
    for m, times in Counter(rivals).items():
        factor = np.tile(table[m, : j + 1], (len(nodes), 1))
        factor[:, j] *= nodes
        for _ in range(times):
            product = _multiply(product, factor)
    return weights @ product


def _multiply(left: Floats, right: Floats) -> Floats:
    """Row by row, the product of polynomials, cut at the degree of ``left``."""
    length = left.shape[1]
    if right.shape[1] > len(left):
        return np.stack([np.convolve(a, b)[:length] for a, b in zip(left, right)])
    product = left * right[:, :1]
    for power in range(1, min(right.shape[1], length)):
        product[:, power:] += left[:, : length - power] * right[:, power : power + 1]
    return product


@lru_cache(maxsize=512)
def _quadrature(count: int) -> tuple[Floats, Floats]:
    """Nodes and weights on [0, 1], exact up to degree 2·count − 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


@lru_cache(maxsize=8)
def _binomials(n: int) -> Floats:
    """C(i, j) at [i, j], correctly rounded; zero for j > i."""
    return np.array([[float(math.comb(i, j)) for j in range(n + 1)] for i in range(n + 1)])
