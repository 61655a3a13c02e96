"""Long-lived processes keep Python's garbage collector and the C library away from what costs a big step its time.

torch, Ray, verl and vLLM leave over a million objects behind. A full collection walks through all of them, 0.4 s each time, and a
process that handles a thousand samples a step triggers one every few phases. Of a step with 16,384 samples the tags alone are
hundreds of thousands of objects that live to its end.

The C library gives every block of over 32 MB back to the kernel at once, which clears each page anew for the next one: a field of
such a step takes longer to write than in memory that the process has already.
"""

import ctypes
import gc

COLLECT_AFTER = (50_000, 10, 10)  # objects more than were freed; collections of the younger generation
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
ALL = 2**31 - 1


def freeze_heap() -> None:
    """Collect once, and leave out what is alive now from all later collections (``gc.freeze``); it is not freed before the end."""
    gc.collect()
    gc.freeze()


def collect_seldom() -> None:
    """For processes that make many small objects; where big tensors may hang in cycles they would stay too long."""
    gc.set_threshold(*COLLECT_AFTER)


def keep_freed_memory() -> None:
    """Keep what is freed for the next step: the process stays as big as it was at its peak. For the main thread; needs glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, ALL)
