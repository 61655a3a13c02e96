"""Mini-batches sized to what was kept, so that dropped samples cost no padding.

Upstream pads a batch to whole mini-batches; after dropping, that could be mostly padding. Instead the kept samples are spread
evenly over as many mini-batches as they fill. A critic needs its own whole mini-batches.
"""

import math


def mini_batches(kept: int, full: int) -> int:
    """How many mini-batches ``kept`` samples fill; ``full`` samples are in a full one."""
    return math.ceil(kept / full)


def batch_multiple(mini_batches: int, workers: int) -> int:
    """The number of samples must be a multiple of this: every worker has as many of every mini-batch."""
    return workers * mini_batches
