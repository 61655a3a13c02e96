"""What a run will do, in numbers: prompts, samples, mini-batches, optimizer steps, epochs, checkpoints."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """One run.

    Raises:
        ValueError: if the assumed accuracy is no probability.
    """

    questions: int  # rows of the training files
    validation_questions: int
    batch: int  # questions a step
    samples_each: int  # samples a question
    validation_samples_each: int
    mini_batch: int  # questions a mini-batch
    epochs_of_updates: int  # passes over a step's samples
    learns_from: str  # correct, incorrect or all: what stays in the update
    total_steps: int | None  # None: all epochs
    total_epochs: int
    save_every: int
    test_every: int
    accuracy: float  # assumed share of correct samples

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise ValueError(f"launch.assumed_accuracy={self.accuracy} must be between 0 and 1")

    @property
    def samples(self) -> int:
        """Samples a step."""
        return self.batch * self.samples_each

    @property
    def kept(self) -> int:
        """Samples of a step that are learned from, at the assumed accuracy."""
        share = {"correct": self.accuracy, "incorrect": 1 - self.accuracy, "all": 1.0}[self.learns_from]
        return round(self.samples * share)

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps a step: as many mini-batches as the kept samples fill, in every pass."""
        return math.ceil(self.kept / (self.mini_batch * self.samples_each)) * self.epochs_of_updates

    @property
    def steps_per_epoch(self) -> int:
        """The last, incomplete batch of an epoch is dropped."""
        return self.questions // self.batch

    @property
    def steps(self) -> int:
        """verl stops at whichever comes first."""
        by_epochs = self.steps_per_epoch * self.total_epochs
        return by_epochs if self.total_steps is None else min(self.total_steps, by_epochs)

    def _every(self, interval: int) -> int:
        """How often something is done that is due every ``interval`` steps and after the last; never if not positive."""
        return math.ceil(self.steps / interval) if interval > 0 else 0

    @property
    def checkpoints(self) -> int:
        return self._every(self.save_every)

    @property
    def validations(self) -> int:
        """Without the one before training."""
        return self._every(self.test_every)

    def lines(self) -> list[str]:
        """One fact a line."""
        kept = {"all": "all are learned from"}.get(
            self.learns_from,
            f"at an accuracy of {self.accuracy:.0%} the {self.kept} {self.learns_from} are learned from",
        )
        epochs = self.steps / self.steps_per_epoch if self.steps_per_epoch else 0
        return [
            f"a step         {self.batch} questions × {self.samples_each} = {self.samples} samples; {kept}",
            f"updates        {self.optimizer_steps} optimizer steps a step, of up to "
            f"{self.mini_batch} × {self.samples_each} = {self.mini_batch * self.samples_each} samples",
            f"the run        {self.steps} steps = {epochs:.1f} epochs of {self.steps_per_epoch} steps "
            f"({self.questions} questions), {self.steps * self.samples} samples",
            f"checkpoints    {self.checkpoints}",
            f"validations    {self.validations} of {self.validation_questions} questions × {self.validation_samples_each}",
        ]


def limited(questions: int, limit: int | None) -> int:
    """Questions that are used; ``limit``: ``data.train_max_samples`` or ``val_max_samples``, all where it is not positive."""
    return min(questions, limit) if limit is not None and limit > 0 else questions
