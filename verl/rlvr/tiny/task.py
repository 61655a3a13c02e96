"""Countdown, the task of the tiny runs: put an operator between given numbers so that the last value is the target.

    question   4,2,3,1->17
    answer     \\boxed{4+2=6*3=18-1=17}

The numbers are used in the order shown, from left to right; every value on the way lies in ``0 .. MAX_VALUE`` so that each number
is one token. Three to six numbers make easy and hard questions. Most have several right answers and many plausible wrong ones,
which is what makes the task a miniature of reasoning with a verifiable reward.

Deliberately left out: other orders of the numbers, division, brackets, negative values.
"""

import itertools
import random
from dataclasses import dataclass
from functools import cache

OPERATORS = "+-*"
MAX_VALUE = 40
NUMBERS = range(1, 10)
SIZES = (3, 4, 5, 6)  # numbers in a question, in equal shares
TUPLES_PER_SIZE = 6000  # of the 9^size there are


@dataclass(frozen=True)
class Question:
    """``numbers`` in the order in which they are used; ``target`` is the value to reach."""

    numbers: tuple[int, ...]
    target: int

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

    def text(self) -> str:
        """The chain with the value after each step: ``4+2=6*3=18-1=17``."""
        values = self.values()
        if values is None:
            raise ValueError(f"{self} leaves the range 0 .. {MAX_VALUE}")
        steps = zip(self.operators, self.numbers[1:], values)
        return str(self.numbers[0]) + "".join(f"{operator}{number}={value}" for operator, number, value in steps)


@cache
def chains(numbers: tuple[int, ...]) -> dict[int, list[Chain]]:
    """Every legal chain over the numbers, by the value that it reaches."""
    legal = [("", numbers[0])]  # operators so far, value so far
    for number in numbers[1:]:
        legal = [
            (operators + operator, after)
            for operators, value in legal
            for operator, after in zip(OPERATORS, (value + number, value - number, value * number))
            if 0 <= after <= MAX_VALUE
        ]
    reached: dict[int, list[Chain]] = {}
    for operators, value in legal:
        reached.setdefault(value, []).append(Chain(numbers, operators))
    return reached


@dataclass(frozen=True)
class Split:
    """Disjoint questions: ``train`` for reinforcement learning, ``test`` held out, ``pretrain`` for the base model.

    ``tune`` is for choosing settings, so that they are not chosen by looking at ``test``.
    """

    train: list[Question]
    test: list[Question]
    tune: list[Question]
    pretrain: list[Question]


def make_split(n_train: int, n_test: int, seed: int = 0) -> Split:
    """Shuffle the questions of every size once and cut; ``n_test`` is also the size of ``tune``.

    Raises:
        ValueError: if fewer questions exist than are asked for.
    """
    rng = random.Random(seed)
    split = Split([], [], [], [])
    for size in SIZES:
        questions = _questions(size, rng)
        test, train = n_test // len(SIZES), n_train // len(SIZES)
        if 2 * test + train >= len(questions):
            raise ValueError(
                f"{n_train} train and 2 × {n_test} held-out questions asked for, "
                f"but only {len(questions)} of {size} numbers exist"
            )
        rng.shuffle(questions)
        split.test.extend(questions[:test])
        split.tune.extend(questions[test : 2 * test])
        split.train.extend(questions[2 * test : 2 * test + train])
        split.pretrain.extend(questions[2 * test + train :])
    for part in (split.train, split.test, split.tune):
        rng.shuffle(part)  # any first few questions are of all sizes
    return split


def _questions(size: int, rng: random.Random) -> list[Question]:
    """The questions over ``TUPLES_PER_SIZE`` tuples of numbers, or over all where there are fewer."""
    everything = len(NUMBERS) ** size
    if everything <= TUPLES_PER_SIZE:
        tuples = list(itertools.product(NUMBERS, repeat=size))
    else:
        tuples = [_digits(code, size) for code in rng.sample(range(everything), TUPLES_PER_SIZE)]
    return [
        Question(numbers, target) for numbers in tuples for target in sorted(chains(numbers)) if target > max(numbers)
    ]


def _digits(code: int, size: int) -> tuple[int, ...]:
    digits = []
    for _ in range(size):
        code, digit = divmod(code, len(NUMBERS))
        digits.append(NUMBERS[digit])
    return tuple(digits)
