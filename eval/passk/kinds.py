"""What became of the answers of an evaluation that are not right: the kinds of training, by the same rule (:mod:`rlvr.incorrect`).

Our files store the kind of every sample. Of others it is derived from ``error``, ``finish_reason`` and ``pred_answer``, as far as
they have them, and :meth:`Told.remarks` says what could not be told apart. Deliberately left out: grading again
(``passk.regrade``).
"""

from dataclasses import dataclass
from typing import Any

from passk.rows import Row, failed, timed_out
from rlvr.incorrect import KINDS, incorrect_kind
from rlvr.verify import Verdict

CUT = "length"  # vLLM's finish_reason of an answer that ended at --max_tokens
NOTHING = (b"null", b'""')


def stored_kind(verdict: Verdict, finish_reason: str | None) -> str | None:
    """What is stored of an answer beside its verdict; None of a right one."""
    return incorrect_kind(verdict.correct, verdict.kind.value, finish_reason == CUT)


@dataclass
class Told:
    """How the kinds of a file's incorrect samples are known; counts of samples.

    Attributes:
        recorded: whose kind the file says.
        derived: whose kind was derived.
        perhaps_cut: of which nothing says whether they were cut.
        answers: with an extracted answer, the right ones too.
    """

    recorded: int = 0
    derived: int = 0
    perhaps_cut: int = 0
    answers: int = 0

    def kind_of(self, row: Row) -> str | None:
        """The kind of a sample that has a label; None of a right one."""
        answered = bytes(row.pred_answer) not in NOTHING
        self.answers += answered
        if row.label:
            return None
        recorded = is_kind(row.kind)
        kind = row.kind if recorded else derived(row.error, row.finish_reason, answered)
        self.recorded += recorded
        self.derived += not recorded
        self.perhaps_cut += row.finish_reason is None and kind != "truncated"
        return str(kind)

    @property
    def answers_are_told(self) -> bool:
        """Whether a missing extracted answer says that there was none, and not that the file has none of any sample."""
        return bool(self.recorded or self.answers)

    def remarks(self) -> list[str]:
        """What the shares of the kinds do not tell apart, one line each."""
        incorrect, lines = self.recorded + self.derived, []
        if self.derived:
            unknown = "unreadable" if self.answers_are_told else "unreadable and no_answer"
            lines.append(f"{self.derived} of {incorrect} kinds are not recorded but derived: {unknown} count as wrong")
        if self.perhaps_cut:
            lines.append(
                f"{self.perhaps_cut} of {incorrect} incorrect samples do not say whether they were cut: no bounds"
            )
        return lines


def words(kind: str) -> str:
    """A kind as people read it."""
    return kind.replace("_", " ")


def is_kind(value: Any) -> bool:
    """Whether what a file says under ``kind`` is one of ours."""
    return isinstance(value, str) and value in KINDS


def derived(error: str | None, finish_reason: str | None, answered: bool) -> str:
    """The kind of an incorrect sample whose file does not say it; ``answered``: whether an answer was extracted."""
    said = "grader_failed" if timed_out(error) or failed(error) else None if answered else "no_answer"
    return str(incorrect_kind(False, said, finish_reason == CUT))
