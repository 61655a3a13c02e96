"""Advantage modes of ``algorithm.adv_estimator=psr_nsr``, one a file.

A mode's name is the same word everywhere: value of ``algorithm.advantage``, key here, file name, row in docs/methods.md and
test name. To add one: write a file with an :class:`Mode`, list it in ``MODES``.
"""

from rlvr.methods.mode import Mode
from rlvr.methods.negative import NEGATIVE
from rlvr.methods.positive import POSITIVE
from rlvr.methods.weighted import WEIGHTED

MODES: dict[str, Mode] = {mode.name: mode for mode in (POSITIVE, NEGATIVE, WEIGHTED)}

__all__ = ["MODES", "Mode"]
