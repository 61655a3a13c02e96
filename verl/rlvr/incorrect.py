"""What an incorrect sample is: five kinds, of which ``algorithm.learn_from_incorrect`` says which may be learned from.

| kind | what happened | who says so |
| --- | --- | --- |
| ``wrong`` | an answer was given, and it is not the right one | the verifier; also of reward functions that say nothing |
| ``no_answer`` | nothing that could be an answer was found | the verifier |
| ``truncated`` | the response was cut at the longest that it may be | the sampler, whatever the verifier found in it |
| ``unreadable`` | there was an answer, but the verifier could not read it | the verifier |
| ``grader_failed`` | an error or a deadline of the verifier: the response may be right | the verifier |

A reward function says it under ``kind``. What may not be learned from is no sample of the step: it is neither pushed down nor
counted in its group, as if its rollout had failed. The evaluation counts the same kinds, so nothing of an engine is imported here.
"""

from collections.abc import Sequence

KINDS = ("wrong", "no_answer", "truncated", "unreadable", "grader_failed")
RIGHT = "right"  # what a reward function may say of a correct sample
LEARNED = KINDS[:-1]  # the paper's, which learns from everything that is not right; a failed verdict says nothing


def incorrect_kinds(correct: Sequence[bool], said: Sequence[str | None], truncated: Sequence[bool]) -> list[str | None]:
    """(samples,) the kind of each: :func:`incorrect_kind`, with one entry a sample."""
    return [incorrect_kind(*sample) for sample in zip(correct, said, truncated, strict=True)]


def incorrect_kind(correct: bool, said: str | None, truncated: bool) -> str | None:
    """The kind of an incorrect sample, None of a correct one.

    Args:
        correct: whether the reward is 1.
        said: what the reward function said under ``kind``; None where it did not.
        truncated: whether the response was cut at the length limit.

    Raises:
        ValueError: if a reward function said something that is no kind.
    """
    if said is not None and said not in (*KINDS, RIGHT):
        raise ValueError(f"the reward function says kind={said!r}: it must be one of {', '.join((*KINDS, RIGHT))}")
    if correct:
        return None
    if truncated and said != "grader_failed":
        return "truncated"
    return "wrong" if said in (None, RIGHT) else said


def counts(kinds: Sequence[str | None]) -> dict[str, int]:
    """Samples of every kind, those without one included."""
    return {kind: sum(one == kind for one in kinds) for kind in KINDS}


def may_be_learned_from(kinds: Sequence[str | None], learned: Sequence[str]) -> list[bool]:
    """(samples,) whether it is correct, or incorrect in a way that ``algorithm.learn_from_incorrect`` names."""
    return [kind is None or kind in learned for kind in kinds]
