"""Supervised traces for the base model: mostly right chains, plausible wrong ones, and careless answers.

The mixture sets how good the base is, and leaves reinforcement learning something to add (right chains) and something to
remove (chains that end elsewhere, careless answers). Deliberately left out: any curriculum.
"""

import random
from dataclasses import dataclass

from rlvr.tiny.task import MAX_VALUE, OPERATORS, Question, chains


@dataclass(frozen=True)
class Mixture:
    """Shares of the traces. ``right`` is the share of chains that reach the target; the others end anywhere."""

    right: float = 0.9
    careless: float = 0.1


def make_trace(question: Question, mixture: Mixture, rng: random.Random) -> str:
    """One answer to ``question``, drawn from the mixture."""
    by_value = chains(question.numbers)
    target = question.target if rng.random() < mixture.right else rng.choice(list(by_value))
    text = rng.choice(by_value[target]).text()
    return careless(text, question, rng) if rng.random() < mixture.careless else f"\\boxed{{{text}}}"


def careless(text: str, question: Question, rng: random.Random) -> str:
    """A mistake that has nothing to do with the target: no box, the last value left out, or a step too many."""
    kind = rng.randrange(3)
    if kind == 0:
        return text
    if kind == 1:
        return f"\\boxed{{{text[: text.rindex('=')]}}}"
    more = f"{rng.choice(OPERATORS)}{rng.choice(question.numbers)}={rng.randint(0, MAX_VALUE)}"
    return f"\\boxed{{{text}{more}}}"
