"""The answer to "is it right?"."""

from dataclasses import dataclass

TIMEOUT = "timeout"


@dataclass(frozen=True)
class Verdict:
    """What a verifier found.

    Attributes:
        correct: whether the response answers the question.
        extracted: the final answer found in the response, or None.
        error: why no proper verdict was possible (graded as incorrect), or None. It is ``timeout`` past the deadline,
            ``error: …`` when grading failed; anything else describes the response ("no answer").
        layer: what decided: ``extraction``, ``string``, ``numeric`` or ``symbolic`` (``exact`` for Countdown).
        seconds: what the verdict cost, without waiting for a free worker; 0 when it came from the cache.
    """

    correct: bool
    extracted: str | None = None
    error: str | None = None
    layer: str = "exact"
    seconds: float = 0.0

    @property
    def timed_out(self) -> bool:
        return self.error == TIMEOUT

    @property
    def failed(self) -> bool:
        """The grader is to blame, not the response; to be counted, never to be taken for a wrong answer."""
        return self.error is not None and self.error.startswith("error:")
