"""A reward for benchmarks: a given share of the answers is correct, whatever the model says."""

import zlib
from typing import Any


def share_correct(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, share: float = 0.5, **kwargs: Any
) -> dict[str, float]:
    """1 on about ``share`` of the different answers; the same answer always gets the same."""
    score = float(zlib.crc32(solution_str.encode()) % 1000 < 1000 * share)
    return {"score": score, "acc": score}
