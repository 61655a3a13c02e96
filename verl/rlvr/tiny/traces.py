"""Supervised traces for the base model: mostly right chains, plausible wrong ones, arithmetic slips and careless answers.

The mixture sets how good the base is, and leaves reinforcement learning something to add (right chains) and something to
remove (careless answers). Deliberately left out: any curriculum.
"""

import random
import re
from dataclasses import dataclass

from rlvr.tiny.task import Question, chains


@dataclass(frozen=True)
class Mixture:
    """Shares of the traces. ``right`` is the share of chains that reach the target; the others end somewhere else."""

    right: float = 0.8
    slip: float = 0.02
    careless: float = 0.25


def make_trace(question: Question, mixture: Mixture, rng: random.Random) -> str:
    """One answer to ``question``, drawn from the mixture."""
    by_value = chains(question.key[0])
    if rng.random() < mixture.right:
        chain = rng.choice(by_value[question.target])
    else:
        chain = rng.choice(by_value[rng.choice([value for value in by_value if value != question.target])])
    if rng.random() < mixture.slip:
        text = chain.answer(slip_at=rng.randrange(len(chain.operators)), slip=rng.choice((-1, 1)))
    else:
        text = chain.answer()
    return careless(text, rng) if rng.random() < mixture.careless else text


def careless(text: str, rng: random.Random) -> str:
    """A mistake that has nothing to do with the question: no box, the last number dropped, or the first used twice."""
    steps, box = text.split("\\boxed{")
    kind = rng.randrange(3)
    if kind == 0:
        return steps
    if kind == 1:
        return f"{steps}\\boxed{{{box[: box.rindex(')') + 1]}}}"
    first = re.search(r"\d+", box)
    return f"{steps}\\boxed{{{box[:-1]}+{first[0] if first else 0}}}"
