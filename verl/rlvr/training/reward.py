"""The reward function for verl (``reward.custom_reward_function``): 1 if the verifier says correct, else 0.

``reward.custom_reward_function.reward_kwargs`` may name the extraction policies, ``{extraction: [boxed]}``, and the matters of
taste to accept. ``data.verifiers`` reaches it as ``extra_info["verifier"]`` (:mod:`rlvr.training.dataset`), so that a function
of your own need not know of it. Deliberately left out: format rewards, length penalties, partial credit. A verifiable reward
is 0 or 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.verify import Policy, averify
from rlvr.verify.policy import EXTRACTIONS


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    extraction: Sequence[str] = tuple(EXTRACTIONS),
    accept: Sequence[str] = (),
    **_: Any,
) -> dict[str, Any]:
    """Grade one response. ``ground_truth`` is an answer, a list of answers (all are wanted), or a record (:mod:`rlvr.verify.gold`).

    Returns:
        ``score`` (0.0 or 1.0, the reward), ``acc`` (the same, what verl's validation reports), ``pred`` (the extracted answer,
        empty if none), ``layer`` (of the verifier, that decided), ``kind`` (what became of the response: :mod:`rlvr.incorrect`),
        ``timeout`` and ``error`` (1.0 where the grader, not the response, failed: to be summed and watched).

    Raises:
        rlvr.verify.UnknownDataSource: if nobody grades ``data_source``.
        ValueError: if a policy is unknown.
    """
    policy = Policy(tuple(extraction), tuple(accept))
    kind = (extra_info or {}).get("verifier")
    verdict = await averify(data_source, solution_str, ground_truth, policy, {"*": kind} if kind else None)
    score = float(verdict.correct)
    return {
        "score": score,
        "acc": score,
        "pred": verdict.extracted or "",
        "layer": verdict.layer,
        "kind": verdict.kind.value,
        "timeout": float(verdict.timed_out),
        "error": float(verdict.failed),
    }
