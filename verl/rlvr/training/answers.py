"""What a rollout server sends back, and the answer that it becomes: at once, or in pieces where rollouts are stopped."""

from dataclasses import dataclass
from typing import NamedTuple


class Generation(NamedTuple):
    """``token_ids`` and their ``log_probs``; not ``finished`` where vLLM was told to stop before their end."""

    token_ids: list[int]
    log_probs: list[float] | None
    finished: bool = True


@dataclass
class Answer:
    """A sample, from its first token to its last; ``first_version`` and ``last_version`` of the weights that drew them."""

    token_ids: list[int]
    log_probs: list[float] | None
    finished: bool
    first_version: int | None
    last_version: int | None

    @classmethod
    def of(cls, generation: Generation, version: int | None) -> "Answer":
        return cls(list(generation.token_ids), generation.log_probs, generation.finished, version, version)

    def go_on(self, generation: Generation, version: int | None) -> None:
        if not self.token_ids:
            self.first_version = version
        if generation.token_ids:
            self.last_version = version
        if generation.log_probs is not None:
            self.log_probs = [*(self.log_probs or []), *generation.log_probs]
        self.token_ids += generation.token_ids
        self.finished = generation.finished
