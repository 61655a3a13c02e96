"""Which verifier grades which data source.

A verifier is a function ``(response, ground_truth) -> Verdict`` where ``ground_truth`` is the record of the data file's
``reward_model`` column: ``{"question": …, "target": …}``, for MATH with ``"solution"``, for tasks of reasoning-gym with
``"entry"``.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rlvr.verify.countdown import verify_countdown
from rlvr.verify.policy import Policy
from rlvr.verify.reasoning_gym import SOURCE, TaskVerifier, problem_with
from rlvr.verify.verdict import Verdict
from rlvr.verify.verifier import Verifier

Verify = Callable[[str, Mapping[str, Any]], Verdict]

COUNTDOWN = "rlvr/countdown"
MATH = ("TianHongZXY/MATH", "TianHongZXY/AIME2025", "TianHongZXY/amc23")
OWN = "own/"  # what scripts/prepare_data makes of one's own set: own/NAME, graded as mathematics

_verifiers: dict[Policy, Verifier] = {}
_task_verifiers: dict[Policy, TaskVerifier] = {}
_lock = threading.Lock()


class UnknownDataSource(ValueError):
    """No verifier is registered for a data source."""


def verifier_for(data_source: str, policy: Policy | None = None) -> Verify:
    """The verifier of ``data_source``; ``policy`` is for answers in mathematics (Countdown has one notation).

    Raises:
        UnknownDataSource: names the data source and those that are known.
    """
    _check(data_source)
    if data_source == COUNTDOWN:
        return verify_countdown
    if data_source.startswith(SOURCE):
        return partial(shared_tasks(policy).verify, data_source.removeprefix(SOURCE))
    return shared(policy).verify


def verify_batch(
    data_source: str, pairs: Sequence[tuple[str, Mapping[str, Any]]], policy: Policy | None = None
) -> list[Verdict]:
    """What :func:`verifier_for` gives on (response, ground_truth) pairs, in order, with all workers.

    Raises:
        UnknownDataSource: names the data source and those that are known.
    """
    _check(data_source)
    if data_source == COUNTDOWN:
        return [verify_countdown(response, ground_truth) for response, ground_truth in pairs]
    if data_source.startswith(SOURCE):
        return shared_tasks(policy).verify_batch(data_source.removeprefix(SOURCE), pairs)
    return shared(policy).verify_batch(pairs)


async def averify(
    data_source: str, response: str, ground_truth: Mapping[str, Any], policy: Policy | None = None
) -> Verdict:
    """What :func:`verifier_for` gives, without blocking the loop.

    Raises:
        UnknownDataSource: names the data source and those that are known.
    """
    _check(data_source)
    if data_source == COUNTDOWN:
        return verify_countdown(response, ground_truth)
    if data_source.startswith(SOURCE):
        return await shared_tasks(policy).averify(data_source.removeprefix(SOURCE), response, ground_truth)
    return await shared(policy).averify(response, ground_truth)


def shared(policy: Policy | None = None) -> Verifier:
    """The process's one verifier of a policy, so that all graders share its workers and cache."""
    policy = policy or Policy()
    with _lock:
        if policy not in _verifiers:
            _verifiers[policy] = Verifier(policy)
        return _verifiers[policy]


def shared_tasks(policy: Policy | None = None) -> TaskVerifier:
    """The same for the tasks of reasoning-gym."""
    policy = policy or Policy()
    with _lock:
        if policy not in _task_verifiers:
            _task_verifiers[policy] = TaskVerifier(policy)
        return _task_verifiers[policy]


def _check(data_source: str) -> None:
    if data_source.startswith(SOURCE):
        if problem := problem_with(data_source.removeprefix(SOURCE)):
            raise UnknownDataSource(f"data source {data_source!r}: {problem}")
        return
    known = (COUNTDOWN, *MATH)
    if data_source not in known and not data_source.startswith(OWN):
        raise UnknownDataSource(
            f"no verifier for data source {data_source!r}; known: {', '.join(sorted(known))}, {OWN}NAME and {SOURCE}TASK. "
            "Set reward.custom_reward_function to your own function to grade it."
        )
