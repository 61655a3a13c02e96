"""Advantage modes of ``algorithm.adv_estimator=psr_nsr``, one a file.

A mode's name is the same word everywhere: value of ``algorithm.advantage``, key here, file name, row in docs/advantages.md and
test name. To add one: write a file with an :class:`Mode`, list it in ``MODES``.
"""

from rlvr.advantages.mode import Mode
from rlvr.advantages.negative import NEGATIVE
from rlvr.advantages.positive import POSITIVE
from rlvr.advantages.weighted import WEIGHTED

MODES: dict[str, Mode] = {mode.name: mode for mode in (POSITIVE, NEGATIVE, WEIGHTED)}

__all__ = ["MODES", "Mode"]
