"""What a step's samples say about the model: counts, solved questions, unbiased pass@k. Pure functions."""

import math
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
    metrics |= standard_error(groups, "rlvr/")
    metrics |= {f"rlvr/incorrect_{kind}": count for kind, count in counts(kinds).items()}
    return metrics | {f"rlvr/{name}": value for name, value in pass_at_k_metrics(groups).items()}


def standard_error(groups: Sequence[tuple[int, int]], prefix: str) -> dict[str, float]:
    """``accuracy_standard_error`` over questions, whose samples are alike: an error over samples would be too small.

    Linearised ratio of two sums over Q questions (Cochran, Sampling Techniques, 1977, eq. 6.13): p = Σc/Σn,
    variance Q/(Q − 1) · Σ(c − pn)² / (Σn)². Nothing of fewer than two questions.
    """
    questions, samples = len(groups), sum(n for n, _ in groups)
    if questions < 2:
        return {}
    p = sum(c for _, c in groups) / samples
    squares = sum((c - p * n) ** 2 for n, c in groups)
    return {f"{prefix}accuracy_standard_error": math.sqrt(questions / (questions - 1) * squares) / samples}


def lengths(tokens: Sequence[int], correct: Sequence[bool]) -> dict[str, float]:
    """Mean response length of all samples, of the correct and of the incorrect ones; nothing of those that there are none of.

    Args:
        tokens: (samples,) of each response.
        correct: (samples,) whether its reward is 1.
    """
    some = {
        "": tokens,
        "_correct": [length for length, right in zip(tokens, correct, strict=True) if right],
        "_incorrect": [length for length, right in zip(tokens, correct, strict=True) if not right],
    }
    return {f"rlvr/response_length{name}": sum(those) / len(those) for name, those in some.items() if those}


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
