"""What a step's samples say about the model: counts, solved questions, unbiased pass@k. Pure functions."""

from collections import defaultdict
from collections.abc import Sequence

from rlvr.incorrect import counts
from rlvr.pass_at_k import pass_at_k, powers_of_two


def group_counts(question_ids: Sequence[str], correct: Sequence[bool]) -> list[tuple[int, int]]:
    """(samples, correct samples) of each question, in order of first appearance."""
    groups: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for question_id, right in zip(question_ids, correct, strict=True):
        groups[question_id][0] += 1
        groups[question_id][1] += int(right)
    return [(n, c) for n, c in groups.values()]


def sample_metrics(
    question_ids: Sequence[str],
    correct: Sequence[bool],
    kept: Sequence[bool],
    effective: Sequence[bool],
    kinds: Sequence[str | None],
) -> dict[str, float]:
    """Counts of a training step, under the names that the paper's code logs, with the prefix ``rlvr/``.

    Args:
        question_ids: (samples,) the question of each sample.
        correct: (samples,) whether its reward is 1.
        kept: (samples,) whether it stays in the step.
        effective: (samples,) whether the method learns from it.
        kinds: (samples,) what an incorrect sample is, None of a correct one: :mod:`rlvr.incorrect`.
    """
    groups = group_counts(question_ids, correct)
    correct_count = sum(map(bool, correct))
    metrics: dict[str, float] = {
        "rlvr/correct_count": correct_count,
        "rlvr/incorrect_count": len(correct) - correct_count,
        "rlvr/kept_count": sum(map(bool, kept)),
        "rlvr/effective_examples": sum(map(bool, effective)),
        "rlvr/accuracy": correct_count / len(correct),
        "rlvr/questions": len(groups),
        "rlvr/fully_solved": sum(c == n for n, c in groups),
        "rlvr/fully_unsolved": sum(c == 0 for _, c in groups),
        "rlvr/solved_at_least_once": sum(c > 0 for _, c in groups),
    }
    metrics |= {f"rlvr/incorrect_{kind}": count for kind, count in counts(kinds).items()}
    return metrics | {f"rlvr/{name}": value for name, value in pass_at_k_metrics(groups).items()}


def pass_at_k_metrics(groups: Sequence[tuple[int, int]]) -> dict[str, float]:
    """``pass@1``, ``pass@2``, ``pass@4`` … up to the samples a question; nothing where questions differ in their samples.

    A question loses samples only when a rollout failed; a pass@k over unequal n would compare unlike things.
    """
    sizes = {n for n, _ in groups}
    if len(sizes) != 1:
        return {}
    (n,) = sizes
    counts = [c for _, c in groups]
    return {f"pass@{k}": float(pass_at_k(n, counts, k).mean()) for k in powers_of_two(n)}
