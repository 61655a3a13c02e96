"""Countdown, the task of the tiny runs: combine a few numbers, each once, to reach a target.

    question   4,2,3,1->17
    answer     4+2=6*3=18-1=17\\boxed{((4+2)*3)-1}

A chain runs from left to right; every value on the way lies in ``0 .. MAX_VALUE`` so that each number is one token and a
well-formed answer always has the same length. Most questions have several right answers and many plausible wrong ones, which
is what makes the task a miniature of reasoning with a verifiable reward.

Deliberately left out: division, brackets other than the left-to-right ones, negative values.
"""

import itertools
import random
from dataclasses import dataclass
from functools import cache

OPERATORS = "+-*"
MAX_VALUE = 40
NUMBERS = range(1, 7)
NUMBERS_PER_QUESTION = 4


@dataclass(frozen=True)
class Question:
    """``numbers`` in the order shown to the model; ``target`` is the value to reach."""

    numbers: tuple[int, ...]
    target: int

    @property
    def key(self) -> tuple[tuple[int, ...], int]:
        """Two questions with the same key differ only in the order in which the numbers are shown."""
        return tuple(sorted(self.numbers)), self.target

    @property
    def text(self) -> str:
        return f"{','.join(map(str, self.numbers))}->{self.target}"


@dataclass(frozen=True)
class Chain:
    """``numbers[0] operators[0] numbers[1] operators[1] …``, evaluated from left to right."""

    numbers: tuple[int, ...]
    operators: str

    def values(self) -> list[int] | None:
        """The value after each step, or None when a step leaves ``0 .. MAX_VALUE``."""
        value, values = self.numbers[0], []
        for operator, number in zip(self.operators, self.numbers[1:]):
            value = {"+": value + number, "-": value - number, "*": value * number}[operator]
            if not 0 <= value <= MAX_VALUE:
                return None
            values.append(value)
        return values

    def expression(self) -> str:
        """The chain as an expression with brackets: ``((4+2)*3)-1``."""
        text = str(self.numbers[0])
        for i, (operator, number) in enumerate(zip(self.operators, self.numbers[1:])):
            text = f"({text}){operator}{number}" if i else f"{text}{operator}{number}"
        return text

    def answer(self, slip_at: int | None = None, slip: int = 0) -> str:
        """The written answer. With ``slip_at``, the result of that step is written wrong by ``slip`` (an arithmetic slip)."""
        values = self.values()
        if values is None:
            raise ValueError(f"{self} leaves the range 0 .. {MAX_VALUE}")
        text = str(self.numbers[0])
        for i, (operator, number, value) in enumerate(zip(self.operators, self.numbers[1:], values)):
            shown = min(MAX_VALUE, max(0, value + slip)) if i == slip_at else value
            text += f"{operator}{number}={shown}"
        return f"{text}\\boxed{{{self.expression()}}}"


@cache
def chains(numbers: tuple[int, ...]) -> dict[int, list[Chain]]:
    """Every legal chain over a sorted tuple of numbers, by the value that it reaches."""
    reached: dict[int, list[Chain]] = {}
    for order in sorted(set(itertools.permutations(numbers))):
        for operators in itertools.product(OPERATORS, repeat=len(numbers) - 1):
            chain = Chain(order, "".join(operators))
            values = chain.values()
            if values:
                reached.setdefault(values[-1], []).append(chain)
    return reached


@dataclass(frozen=True)
class Split:
    """Questions with disjoint keys: ``train`` for reinforcement learning, ``test`` held out, ``pretrain`` for the base model."""

    train: list[Question]
    test: list[Question]
    pretrain: list[Question]


def make_split(n_train: int, n_test: int, seed: int = 0) -> Split:
    """Shuffle all questions once and cut; the three parts share no key.

    Raises:
        ValueError: if fewer questions exist than are asked for.
    """
    rng = random.Random(seed)
    keys = [
        (numbers, target)
        for numbers in itertools.combinations_with_replacement(NUMBERS, NUMBERS_PER_QUESTION)
        for target in sorted(chains(numbers))
        if target > max(numbers)
    ]
    if n_train + n_test >= len(keys):
        raise ValueError(f"{n_train} train and {n_test} test questions asked for, but only {len(keys)} exist")
    rng.shuffle(keys)
    questions = [Question(tuple(rng.sample(numbers, len(numbers))), target) for numbers, target in keys]
    return Split(
        test=questions[:n_test],
        train=questions[n_test : n_test + n_train],
        pretrain=questions[n_test + n_train :],
    )
