"""``trainer.stop_file``: whoever makes it asks the run to save a checkpoint after the step and to leave with exit code 75.

For a scheduler that takes the machine back: a file reaches the trainer on whatever node it is, and no signal does. A run removes
one that is there when it starts. Imported by the driver too: nothing of an engine here.
"""

from pathlib import Path


class Stopped(RuntimeError):
    """The run ended after a step because it was asked to."""


class StopFile:
    def __init__(self, path: Path):
        self.path = path
        path.unlink(missing_ok=True)

    def is_there(self) -> bool:
        return self.path.exists()


def stopped(error: BaseException) -> bool:
    """Whether a run failed because it was asked to stop; ``error`` may have come through Ray, as text."""
    return f"{Stopped.__module__}.{Stopped.__name__}" in str(error) or isinstance(error, Stopped)
