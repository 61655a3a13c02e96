"""What a step came to: it is done, or there was nothing to learn from."""

from typing import Any, NamedTuple

from transfer_queue import KVBatchMeta


class Learned(NamedTuple):
    """A step that is done but not recorded: its rows, what it measured, and how long it took."""

    batch: KVBatchMeta
    metrics: dict[str, Any]
    seconds: float


class NothingToLearnFrom(Exception):
    """No sample of the step could have a gradient."""

    def __init__(self, batch: KVBatchMeta):
        super().__init__("no sample to learn from")
        self.batch = batch
