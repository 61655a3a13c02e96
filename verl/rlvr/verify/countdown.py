"""Exact verifier of Countdown, the tiny task: the boxed chain uses the numbers in order, calculates right and ends at the target.

The model's chain (``4+2=6*3=18``) is read by a grammar of integers and ``+ - * =``; nothing is ever evaluated as Python.
Deliberately left out: any judgement of what stands outside the box.
"""

import re
from collections.abc import Mapping
from typing import Any

from rlvr.verify.verdict import UNREADABLE, Verdict

BOX = re.compile(r"\\boxed\{([^{}]*)\}")
CHAIN = re.compile(r"[0-9]+(?:[+\-*][0-9]+=[0-9]+)+")
STEP = re.compile(r"([+\-*])([0-9]+)=([0-9]+)")
MAX_CHAIN = 64  # characters; every right answer is far shorter


class NotAChain(ValueError):
    """The answer is no chain of calculations."""


def verify_countdown(response: str, ground_truth: Mapping[str, Any]) -> Verdict:
    """Grade ``response`` against ``ground_truth["question"]``, e.g. ``"4,2,3->18"``."""
    boxes = BOX.findall(response)
    if not boxes:
        return Verdict(False, error="no box")
    answer = boxes[-1]
    try:
        value, used = parse(answer)
    except NotAChain as error:
        return Verdict(False, extracted=answer, error=str(error), layer=UNREADABLE)
    except ValueError as error:
        return Verdict(False, extracted=answer, error=str(error))
    numbers, _, target = ground_truth["question"].partition("->")
    return Verdict(value == int(target) and used == [int(number) for number in numbers.split(",")], extracted=answer)


def parse(chain: str) -> tuple[int, list[int]]:
    """(last value, numbers used in their order) of a chain whose every step is right.

    Raises:
        NotAChain: if it is not one, or too long.
        ValueError: if a step is calculated wrong.
    """
    if len(chain) > MAX_CHAIN:
        raise NotAChain("chain too long")
    if not CHAIN.fullmatch(chain):
        raise NotAChain("not a chain")
    value = int(chain[: re.search(r"[+\-*]", chain).start()])  # type: ignore[union-attr]  # CHAIN has matched
    used = [value]
    for operator, number, claimed in STEP.findall(chain):
        right = int(number)
        value = value + right if operator == "+" else value - right if operator == "-" else value * right
        if value != int(claimed):
            raise ValueError("a step is calculated wrong")
        used.append(right)
    return value, used
