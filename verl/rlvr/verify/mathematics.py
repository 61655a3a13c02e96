"""What a worker of the symbolic layer does (:mod:`rlvr.verify.worker`): load sympy once, compare two answers a request."""

from typing import Any

from rlvr.verify.equal import decide
from rlvr.verify.policy import Policy

WARM_UP = (("\\frac{1}{2}", "0.5"), ("\\{1,2\\}", "x^2-\\sqrt{3}"), ("\\cos x", "\\log_2 x+1"))


def load() -> None:
    """Import sympy and fill its caches, in the process that forks."""
    from rlvr.verify.symbolic import symbolic

    for gold, prediction in WARM_UP:
        symbolic(gold, prediction)


def prepare(request: dict[str, Any]) -> bool:
    """Nothing is made for single requests."""
    return False


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Compare ``prediction`` with ``gold``, in the child.

    Raises:
        Exception: whatever sympy raises; the worker reports it.
    """
    from rlvr.verify.symbolic import symbolic

    policy = Policy(tuple(request["extraction"]), tuple(request["accept"]))
    correct, layer = decide(request["gold"], request["prediction"], policy, symbolic)
    return {"correct": correct, "layer": layer}
