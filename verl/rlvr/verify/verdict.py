"""The answer to "is it right?"."""

from dataclasses import dataclass
from enum import Enum

TIMEOUT = "timeout"
UNREADABLE = "unreadable"


class Kind(str, Enum):
    """What became of a response: one of five, and only ``RIGHT`` is paid.

    ``WRONG``: an answer was read, and it is another one. ``NO_ANSWER``: nothing was found that could be one. ``UNREADABLE``: an
    answer was found, but neither our grammar nor math-verify's could read it. ``GRADER_FAILED``: an error or the deadline: the
    response may have been right.
    """

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    UNREADABLE = "unreadable"
    GRADER_FAILED = "grader_failed"


@dataclass(frozen=True)
class Verdict:
    """What a verifier found.

    Attributes:
        correct: whether the response answers the question.
        extracted: the final answer found in the response, or None.
        error: why no proper verdict was possible (graded as incorrect), or None. It is ``timeout`` past the deadline,
            ``error: …`` when grading failed; anything else describes the response ("no answer").
        layer: what decided: ``extraction``, ``string``, ``numeric`` or ``symbolic`` (``exact`` for Countdown), or ``unreadable``
            where no layer could read the answer.
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

    @property
    def kind(self) -> Kind:
        """Why a response is incorrect, or that it is right."""
        if self.correct:
            return Kind.RIGHT
        if self.timed_out or self.failed:
            return Kind.GRADER_FAILED
        if not self.extracted:
            return Kind.NO_ANSWER
        return Kind.UNREADABLE if self.layer == UNREADABLE else Kind.WRONG
