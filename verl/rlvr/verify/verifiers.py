"""Which verifier grades which data source.

A verifier is a function ``(response, ground_truth) -> Verdict`` where ``ground_truth`` is what the data file's ``reward_model``
column has: an answer, a list of answers (all are wanted), or a record (``{"question": …, "target": …}``, for MATH with
``"solution"``, for tasks of reasoning-gym with ``"entry"``). A source that is not known here is graded only if the configuration
says how: ``data.verifiers``.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import Any

from rlvr.records import DataError
from rlvr.verify.countdown import verify_countdown
from rlvr.verify.extract import extract
from rlvr.verify.gold import answers
from rlvr.verify.policy import Policy
from rlvr.verify.reasoning_gym import SOURCE, TaskVerifier, problem_with
from rlvr.verify.verdict import Verdict
from rlvr.verify.verifier import Verifier

Verify = Callable[[str, Any], Verdict]

COUNTDOWN = "rlvr/countdown"
MATH = ("TianHongZXY/MATH", "TianHongZXY/AIME2025", "TianHongZXY/amc23")
OWN = "own/"  # what scripts/prepare_data makes of one's own set: own/NAME, graded as mathematics
KINDS = ("math", "exact", "reasoning_gym", "countdown")  # what data.verifiers may name

# Data sources of other people's files, in lower case; mathematics with one final answer. docs/data.md lists where they come from.
FOREIGN_MATH = (
    "gsm8k*",
    "*/gsm8k*",
    "math",
    "math_dapo*",
    "lighteval/math*",
    "digitallearninggmbh/math*",
    "huggingfaceh4/math*",
    "hendrycks*",
    "*/hendrycks*",
    "*competition_math*",
    "math500*",
    "math-500*",
    "math_500*",
    "math-ai/*",
    "math__*",
    "aime*",
    "*/aime*",
    "ai-mo/*",
    "amc*",
    "*/amc*",
    "matharena/*",
    "hmmt*",
    "*/hmmt*",
    "brumo*",
    "*/brumo*",
    "*dapo-math*",
    "*dapo_math*",
    "deepscaler*",
    "*/deepscaler*",
    "train-math-*",
    "numina*",
    "*/numina*",
    "open-r1/*",
    "openr1*",
    "*omni-math*",
    "*omni_math*",
    "*olympiadbench*",
    "*olympiad_bench*",
    "*minerva*math*",
    "minerva*",
    "*deepmath*",
    "*big-math*",
    "*bigmath*",
    "orz*",
    "*/orz*",
    "*open-reasoner-zero*",
    "*simplelr*",
    "*simplerl*",
    "*polaris-dataset*",
    "still-3*",
    "still3*",
    "*/still-3*",
    "*acereason-math*",
    "*openmathinstruct*",
    "*openmathreasoning*",
    "svamp*",
    "*/svamp*",
    "asdiv*",
    "*/asdiv*",
    "mawps*",
    "*/mawps*",
    "gair/lim*",
)

_verifiers: dict[Policy, Verifier] = {}
_task_verifiers: dict[Policy, TaskVerifier] = {}
_lock = threading.Lock()


class UnknownDataSource(ValueError):
    """No verifier is registered for a data source."""


def kind_of(data_source: str, verifiers: Mapping[str, str] | None = None) -> str:
    """Which of :data:`KINDS` grades ``data_source``: what ``verifiers`` (pattern → kind, first match) says, else what is known.

    Raises:
        UnknownDataSource: names the data source and what to do.
    """
    kind = given_kind(data_source, verifiers)
    if kind is None:
        return _known_kind(data_source)
    if kind not in KINDS:
        raise UnknownDataSource(f"data.verifiers: {kind} is unknown: choose one of {', '.join(KINDS)}")
    if kind == "reasoning_gym":
        _check_task(data_source)
    return kind


def given_kind(data_source: str, verifiers: Mapping[str, str] | None) -> str | None:
    """What the first pattern of ``verifiers`` that fits ``data_source`` says."""
    return next((kind for pattern, kind in (verifiers or {}).items() if fnmatchcase(data_source, pattern)), None)


def check_kinds(verifiers: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with a mapping ``data.verifiers``, one line each."""
    return [
        f"data.verifiers: {pattern}: {kind} is unknown: choose one of {', '.join(KINDS)}"
        for pattern, kind in (verifiers or {}).items()
        if kind not in KINDS
    ]


def verifier_for(data_source: str, policy: Policy | None = None, verifiers: Mapping[str, str] | None = None) -> Verify:
    """The verifier of ``data_source``; ``policy`` is for answers in mathematics (Countdown has one notation).

    Raises:
        UnknownDataSource: names the data source and what to do.
    """
    kind = kind_of(data_source, verifiers)
    if kind == "countdown":
        return verify_countdown
    if kind == "reasoning_gym":
        return partial(shared_tasks(policy).verify, task_of(data_source))
    if kind == "exact":
        return lambda response, truth: verify_exact(response, truth, policy)
    return lambda response, truth: _in_mathematics(response, truth, policy)


def verify_batch(
    data_source: str,
    pairs: Sequence[tuple[str, Any]],
    policy: Policy | None = None,
    verifiers: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """What :func:`verifier_for` gives on (response, ground_truth) pairs, in order, with all workers.

    Raises:
        UnknownDataSource: names the data source and what to do.
    """
    kind = kind_of(data_source, verifiers)
    if kind == "reasoning_gym":
        return shared_tasks(policy).verify_batch(task_of(data_source), pairs)
    if kind != "math":
        verify = verifier_for(data_source, policy, verifiers)
        return [verify(response, truth) for response, truth in pairs]
    golds = [_gold(truth) for _, truth in pairs]
    sound = [(response, gold) for (response, _), gold in zip(pairs, golds) if not isinstance(gold, Verdict)]
    found = iter(shared(policy).verify_batch(sound))
    return [gold if isinstance(gold, Verdict) else next(found) for gold in golds]


async def averify(
    data_source: str,
    response: str,
    ground_truth: Any,
    policy: Policy | None = None,
    verifiers: Mapping[str, str] | None = None,
) -> Verdict:
    """What :func:`verifier_for` gives, without blocking the loop.

    Raises:
        UnknownDataSource: names the data source and what to do.
    """
    kind = kind_of(data_source, verifiers)
    if kind == "reasoning_gym":
        return await shared_tasks(policy).averify(task_of(data_source), response, ground_truth)
    if kind != "math":
        return verifier_for(data_source, policy, verifiers)(response, ground_truth)
    gold = _gold(ground_truth)
    return gold if isinstance(gold, Verdict) else await shared(policy).averify(response, gold)


def verify_exact(response: str, truth: Any, policy: Policy | None = None) -> Verdict:
    """Right if the extracted answer is the gold letter by letter, spaces aside. For codes, words, names.

    Several golds are wanted in their order, with commas between them.
    """
    gold = _gold(truth)
    if isinstance(gold, Verdict):
        return gold
    answer = extract(response, policy or Policy())
    if answer is None:
        return Verdict(False, error="no answer", layer="extraction")
    wanted = gold if isinstance(gold, str) else ", ".join(gold)
    return Verdict(" ".join(answer.split()) == " ".join(wanted.split()), answer)


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


def task_of(data_source: str) -> str:
    """The task of reasoning-gym that a data source stands for: what follows ``reasoning_gym/``, else its last slash."""
    return data_source.removeprefix(SOURCE) if data_source.startswith(SOURCE) else data_source.rpartition("/")[2]


def _in_mathematics(response: str, truth: Any, policy: Policy | None) -> Verdict:
    gold = _gold(truth)
    return gold if isinstance(gold, Verdict) else shared(policy).verify(response, gold)


def _gold(truth: Any) -> str | list[str] | Verdict:
    """The gold answer, all of several, or the verdict that there is none: the data is to blame, and it must be counted."""
    try:
        found = answers(truth)
    except DataError as error:
        return replace(NO_GOLD, error=f"error: {error}")
    return found[0] if len(found) == 1 else list(found)


NO_GOLD = Verdict(False, error="error: no gold answer", layer="gold")


def _check_task(data_source: str) -> None:
    if problem := problem_with(task_of(data_source)):
        raise UnknownDataSource(f"data source {data_source!r}: {problem}")


@lru_cache(maxsize=4096)
def _known_kind(data_source: str) -> str:
    if data_source == COUNTDOWN:
        return "countdown"
    if data_source.startswith(SOURCE):
        _check_task(data_source)
        return "reasoning_gym"
    if data_source in MATH or data_source.startswith(OWN):
        return "math"
    if any(fnmatchcase(data_source.lower(), pattern) for pattern in FOREIGN_MATH):
        return "math"
    raise UnknownDataSource(
        f"no verifier for data source {data_source!r}: say how it is graded, "
        f"data.verifiers={{{data_source}: math}} (or {', '.join(KINDS[1:])}), where * stands for anything; "
        "or set reward.custom_reward_function to your own function"
    )
