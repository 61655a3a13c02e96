"""Exact verifier of Countdown, the tiny task: the boxed expression uses each number once and reaches the target.

The model's expression is parsed by a grammar of integers, ``+ - *`` and brackets; nothing is ever evaluated as Python.
Deliberately left out: any judgement of the steps before the box.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rlvr.verify.verdict import Verdict

BOX = re.compile(r"\\boxed\{([^{}]*)\}")
TOKEN = re.compile(r"\d+|[+\-*()]")
MAX_EXPRESSION = 64  # characters; every right answer is far shorter, and it bounds the recursion below


def verify_countdown(response: str, ground_truth: Mapping[str, Any]) -> Verdict:
    """Grade ``response`` against ``ground_truth["question"]``, e.g. ``"4,2,3->18"``."""
    boxes = BOX.findall(response)
    if not boxes:
        return Verdict(False, error="no box")
    answer = boxes[-1]
    numbers, _, target = ground_truth["question"].partition("->")
    try:
        value, used = parse(answer)
    except ValueError as error:
        return Verdict(False, extracted=answer, error=str(error))
    correct = value == int(target) and sorted(used) == sorted(map(int, numbers.split(",")))
    return Verdict(correct, extracted=answer)


def parse(expression: str) -> tuple[int, list[int]]:
    """(value, numbers used) of an expression in integers, ``+ - *`` and brackets, with the usual precedence.

    Raises:
        ValueError: if it is not such an expression.
    """
    if len(expression) > MAX_EXPRESSION:
        raise ValueError("expression too long")
    tokens = TOKEN.findall(expression)
    if "".join(tokens) != expression:
        raise ValueError("not an expression")
    used: list[int] = []
    stream = iter([*tokens, ""])
    value, rest = _sum(stream, next(stream), used)
    if rest:
        raise ValueError("not an expression")
    return value, used


def _sum(stream: Iterator[str], token: str, used: list[int]) -> tuple[int, str]:
    value, token = _product(stream, token, used)
    while token in ("+", "-"):
        operator = token
        other, token = _product(stream, next(stream), used)
        value = value + other if operator == "+" else value - other
    return value, token


def _product(stream: Iterator[str], token: str, used: list[int]) -> tuple[int, str]:
    value, token = _atom(stream, token, used)
    while token == "*":
        other, token = _atom(stream, next(stream), used)
        value *= other
    return value, token


def _atom(stream: Iterator[str], token: str, used: list[int]) -> tuple[int, str]:
    if token.isdecimal():
        used.append(int(token))
        return used[-1], next(stream)
    if token == "(":
        value, token = _sum(stream, next(stream), used)
        if token == ")":
            return value, next(stream)
    raise ValueError("not an expression")
