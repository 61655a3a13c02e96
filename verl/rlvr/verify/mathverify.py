"""What a worker of math-verify does (:mod:`rlvr.verify.worker`): extract, read and compare as that library does by itself.

For comparing graders (``python -m passk.disagree``), not for rewards. Its defaults but for two things: no time limit of its own,
since workers are killed, and no plain-text extractor, which hands what a model wrote to sympy's ``parse_expr``, Python's ``eval``.
https://github.com/huggingface/Math-Verify
"""

from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

CONFIG = [LatexExtractionConfig()]


def load() -> None:
    """Import sympy and fill its caches, in the process that forks."""
    answer({"gold": "\\frac{1}{2}", "prediction": "\\boxed{0.5}"})


def prepare(request: dict[str, Any]) -> bool:
    """Nothing is made for single requests."""
    return False


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Grade the response ``prediction``, in the child.

    Raises:
        Exception: whatever sympy raises; the worker reports it.
    """
    gold = parse(f"${request['gold'].strip('$')}$", CONFIG, parsing_timeout=None)
    found = parse(request["prediction"], CONFIG, parsing_timeout=None)
    return {"correct": bool(verify(gold, found, timeout_seconds=None)), "layer": "math-verify"}
