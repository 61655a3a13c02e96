"""The one place where the evaluation meets a grader: :mod:`rlvr.verify`, the one that training uses, or any other function.

Grading runs in threads beside the sampling (:mod:`passk.generate`), so a slow verdict never keeps the engine waiting.
Deliberately left out: deadlines and worker processes; those are the verifier's.
"""

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from passk.kinds import stored_kind
from rlvr.verify import Policy, Verdict, stamp, verify_batch
from rlvr.verify.verifiers import check_kinds

GradeMany = Callable[[str, Mapping[str, Any], Sequence[str]], Sequence[Verdict]]


@dataclass(frozen=True)
class Grader:
    """``grade(data_source, gold record, responses)`` gives a verdict for each response; ``stamp`` says who that was."""

    grade: GradeMany
    stamp: dict[str, Any]


def installed_grader(verifiers: Mapping[str, str] | None = None) -> Grader:
    """The verifier of this installation; ``verifiers`` as ``data.verifiers`` of a training run."""
    if not verifiers:
        return Grader(_grade_with_rlvr, _rlvr_stamp())
    return Grader(partial(_grade_with_rlvr, verifiers=verifiers), _rlvr_stamp() | {"verifiers": dict(verifiers)})


def check_verifiers(verifiers: object) -> None:
    """Refuse a ``--verifiers`` that is no mapping of patterns to kinds.

    Raises:
        ValueError: says what is wrong with it.
    """
    if verifiers is not None and not isinstance(verifiers, Mapping):
        raise ValueError(f'--verifiers {verifiers!r}: give a mapping, like \'{{"my/set*": "math"}}\'')
    problems = check_kinds(verifiers)
    if problems:
        raise ValueError(problems[0].replace("data.verifiers", "--verifiers"))


def other_grader(spec: str) -> Grader:
    """``module:function`` or ``file.py:function``, a function like :attr:`Grader.grade`; its module may have ``__version__``.

    Raises:
        ValueError: if there is no such function.
    """
    module_name, _, name = spec.partition(":")
    if module_name.endswith(".py"):
        path = Path(module_name)
        sys.path.insert(0, str(path.resolve().parent))
        module_name = path.stem
    try:
        module = importlib.import_module(module_name)
        function = getattr(module, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"--grader {spec}: {error}") from None
    stamp = {"name": spec, "version": str(getattr(module, "__version__", "unknown")), "policies": {}}
    return Grader(function, stamp)


def fields_of(verdict: Verdict, finish_reason: str | None) -> dict[str, Any]:
    """What is stored of the verdict on an answer that ended for this reason."""
    kind = stored_kind(verdict, finish_reason)
    return {"pred_answer": verdict.extracted, "label": verdict.correct, "kind": kind, "error": verdict.error}


def _grade_with_rlvr(
    data_source: str, gold: Mapping[str, Any], responses: Sequence[str], verifiers: Mapping[str, str] | None = None
) -> list[Verdict]:
    return verify_batch(data_source, [(response, gold) for response in responses], verifiers=verifiers)


def _rlvr_stamp() -> dict[str, Any]:
    return json.loads(json.dumps(asdict(stamp(Policy()))))  # as it is read back from a manifest
