"""The steps in their order, and one of them in a process of its own, which may be killed when its time is up.

python -m rlvr.operate.gpu_check.steps NAME DEVICE GPUS FOLDER      # prints a JSON line a check
"""

import importlib
import json
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import verl  # noqa: F401  (loads the plugin, which makes packed_sdpa known to transformers)
from rlvr.operate.gpu_check import Check, Context

MARK = "CHECK"


@dataclass(frozen=True)
class Step:
    """``function``: ``module.name`` in this package; it takes a :class:`Context` and yields checks."""

    name: str
    function: str
    minutes: float
    gpus: int = 1  # at least; with fewer it is left out


STEPS = (
    Step("environment", "environment.run", 1),
    Step("kernels", "kernels.run", 2),
    Step("train", "training.train", 7),
    Step("resume", "training.resume", 3),
    Step("speed", "training.speed", 6),
    Step("generation", "sampling.speed", 2),
    Step("evaluation", "sampling.evaluate", 2),
    Step("several", "training.several", 2, gpus=2),
)


def run(name: str, context: Context) -> None:
    """Print the checks of a step; what it raises is one that failed."""
    module, _, function = next(step.function for step in STEPS if step.name == name).partition(".")
    try:
        for check in getattr(importlib.import_module(f"rlvr.operate.gpu_check.{module}"), function)(context):
            print(MARK + json.dumps(check.record()), flush=True)
    except Exception as error:  # noqa: BLE001  (whatever the device or a library does is the finding)
        traceback.print_exc()
        failed = Check(
            f"{name} ends", False, f"{type(error).__name__}: {' '.join(str(error).split())}"[:500], "no error"
        )
        print(MARK + json.dumps(failed.record()), flush=True)


if __name__ == "__main__":
    step, device, gpus, folder = sys.argv[1:]
    run(step, Context(device, int(gpus), Path(folder)))  # type: ignore[arg-type]
