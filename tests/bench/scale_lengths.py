"""The response lengths that the benchmarks at the paper's size assume: log-normal, with a few that reach the limit."""

import numpy as np

# data.max_response_length -> (median, sigma of the logarithm)
LENGTHS = {3072: (700, 0.6), 31744: (1000, 1.0)}
SHORTEST = 16


def draw_lengths(samples: int, limit: int, draw: np.random.Generator) -> np.ndarray:
    """(samples,) tokens, what is longer than ``limit`` cut; of another limit a quarter of it is the median."""
    median, sigma = LENGTHS.get(limit, (limit / 4, 0.6))
    return draw.lognormal(np.log(median), sigma, samples).clip(SHORTEST, limit).astype(int)
