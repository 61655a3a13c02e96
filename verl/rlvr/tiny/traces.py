"""Supervised traces for the base model: mostly right chains, plausible wrong ones, and habits worth unlearning.

The mixture sets how good the base is, and leaves reinforcement learning something to add (right chains) and something to
remove. ``unboxed`` is a flaw such as the format errors of a real base model: one token at the start decides it, with a
probability near one half, so that neither a low temperature nor top-p hides it. Deliberately left out: any curriculum.
"""

import random
from dataclasses import dataclass

from rlvr.tiny.task import MAX_VALUE, OPERATORS, Question, chains


@dataclass(frozen=True)
class Mixture:
    """Shares of the traces, drawn independently of each other.

    ``right`` is the share of chains that reach the target (the others end anywhere), ``careless`` that of chains with a
    generic mistake, ``unboxed`` that of answers without a box, which the verifier never accepts.
    """

    right: float = 0.95
    unboxed: float = 0.4
    careless: float = 0.05


def make_trace(question: Question, mixture: Mixture, rng: random.Random) -> str:
    """One answer to ``question``, drawn from the mixture."""
    by_value = chains(question.numbers)
    target = question.target if rng.random() < mixture.right else rng.choice(list(by_value))
    text = rng.choice(by_value[target]).text()
    if rng.random() < mixture.careless:
        text = careless(text, question, rng)
    return text if rng.random() < mixture.unboxed else f"\\boxed{{{text}}}"


def careless(text: str, question: Question, rng: random.Random) -> str:
    """A mistake that has nothing to do with the target: the last value left out, or a step too many."""
    if rng.random() < 0.5:
        return text[: text.rindex("=")]
    return f"{text}{rng.choice(OPERATORS)}{rng.choice(question.numbers)}={rng.randint(0, MAX_VALUE)}"
