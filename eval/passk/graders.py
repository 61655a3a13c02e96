"""Graders by name, for comparing them: ours, math-verify, verl's string comparison, letters alone, or any ``module:function``.

Each is a function ``(data_source, gold record, responses) -> verdicts`` (:mod:`passk.grade`). Deliberately left out: graders that
evaluate what a model wrote as Python (verl's ``prime_math``, math-verify's plain-text extractor).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from passk.grade import GradeMany, installed_grader, other_grader
from rlvr.verify import Verdict
from rlvr.verify.gold import answers_or_none
from rlvr.verify.pool import Pool
from rlvr.verify.verifiers import NO_GOLD, verify_exact

STORED = "stored"  # the labels of the file
DEADLINE = 5.0  # seconds of one verdict


def grader_named(name: str, verifiers: Mapping[str, str] | None = None) -> GradeMany:
    """The grader of a name of :data:`GRADERS`, or ``module:function``.

    Raises:
        ValueError: if there is none; names those that there are.
    """
    if name in GRADERS:
        return GRADERS[name](verifiers)
    if ":" in name:
        return other_grader(name).grade
    raise ValueError(f"--graders {name}: choose from {', '.join([STORED, *GRADERS])}, or give module:function")


def _rlvr(verifiers: Mapping[str, str] | None) -> GradeMany:
    return installed_grader(verifiers).grade


def _math_verify(_: Mapping[str, str] | None) -> GradeMany:
    return partial(_ask, Pool(2, DEADLINE, work="math_verify"))


def _exact(_: Mapping[str, str] | None) -> GradeMany:
    return lambda source, gold, responses: [verify_exact(response, gold) for response in responses]


def _verl_math(_: Mapping[str, str] | None) -> GradeMany:
    from verl.utils.reward_score import math_reward  # seconds to import

    def grade(source: str, gold: Mapping[str, Any], responses: Sequence[str]) -> list[Verdict]:
        text = _one_gold(gold)
        return [
            NO_GOLD if text is None else Verdict(bool(math_reward.compute_score(response, text)), layer="verl")
            for response in responses
        ]

    return grade


def _ask(pool: Pool, source: str, gold: Mapping[str, Any], responses: Sequence[str]) -> list[Verdict]:
    text = _one_gold(gold)
    if text is None:
        return [NO_GOLD] * len(responses)

    def one(response: str) -> Verdict:
        reply = pool.ask({"gold": text, "prediction": response})
        return Verdict(reply.correct, None, reply.error, reply.layer, reply.seconds or 0.0)

    with ThreadPoolExecutor(pool.workers) as threads:
        return list(threads.map(one, responses))


def _one_gold(gold: Mapping[str, Any]) -> str | None:
    found = answers_or_none(gold)
    return ", ".join(found) if found else None


GRADERS: dict[str, Callable[[Mapping[str, str] | None], GradeMany]] = {
    "rlvr": _rlvr,
    "math-verify": _math_verify,
    "verl-math": _verl_math,
    "exact": _exact,
}
