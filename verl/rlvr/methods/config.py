"""From the ``algorithm`` section of a configuration to what it chose; the same for the checks before a run and for the run."""

from collections.abc import Mapping
from typing import Any

from rlvr.methods import METHODS, make
from rlvr.methods.method import Method
from rlvr.methods.selection import ESTIMATOR

WEIGHT = "positive_advantage_weight"


def method_of(algorithm: Mapping[str, Any]) -> Method | None:
    """The method with its settings; None where an estimator of upstream's computes the advantages.

    ``algorithm.method`` holds the settings, null for the method's own default; λ is ``algorithm.positive_advantage_weight``.

    Raises:
        ValueError: if the method or a setting is unknown or out of range; one line.
    """
    if algorithm["adv_estimator"] != ESTIMATOR:
        return None
    name = algorithm["advantage"]
    settings = {key: value for key, value in (algorithm.get("method") or {}).items() if value is not None}
    if name in METHODS and WEIGHT in METHODS[name].__dataclass_fields__:  # type: ignore[attr-defined]
        settings.setdefault(WEIGHT, algorithm[WEIGHT])
    return make(name, settings)
