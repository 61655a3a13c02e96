"""How many questions it takes to tell two methods apart: from a published interval, in closed form.

    python -m passk.power --interval 0.5 4.8 --questions 256 --difference 2 [--planned 256,512]

``--interval`` is the 95 % interval, in points, of a paired difference of two methods that was measured on ``--questions``
questions. The noise is taken to be that of the questions, so it falls with their square root; what the training seeds add does
not fall, and counts here as if it did. Prints, for each planned number of questions, half the width of the interval and the
power: the probability that an interval does not contain 0 when the true difference is ``--difference`` points. Deliberately left
out: other levels than 95 %.
"""

import argparse
import math
from dataclasses import dataclass
from statistics import NormalDist

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)  # half of a 95 % interval, in standard errors
GOAL = 0.8  # power that a study is usually planned for


@dataclass(frozen=True)
class Measured:
    """A paired difference that was measured: its 95 % interval in points, and on how many questions it stands.

    Raises:
        ValueError: if the interval is empty or there is no question.
    """

    low: float
    high: float
    questions: int

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"--interval {self.low:g} {self.high:g}: give its lower end first")
        if self.questions < 1:
            raise ValueError(f"--questions {self.questions}: give 1 or more")

    def half_width(self, questions: int) -> float:
        """Of the interval on ``questions`` questions, in points."""
        return (self.high - self.low) / 2 * math.sqrt(self.questions / questions)

    def power(self, questions: int, difference: float) -> float:
        """Probability that the interval does not contain 0 when the true difference is ``difference`` points."""
        shift = abs(difference) / (self.half_width(questions) / Z)
        return NORMAL.cdf(shift - Z) + NORMAL.cdf(-shift - Z)

    def needed(self, difference: float, power: float = GOAL) -> int:
        """The fewest questions that have this power, by the tail on the side of the difference alone.

        Raises:
            ValueError: if the difference is 0, which no number of questions finds.
        """
        if not difference:
            raise ValueError("--difference 0: no number of questions finds it")
        error = abs(difference) / (Z + NORMAL.inv_cdf(power))
        return math.ceil(self.questions * (self.half_width(self.questions) / Z / error) ** 2)


def lines(measured: Measured, difference: float, planned: list[int]) -> list[str]:
    """The table that the command prints."""
    text = [f"95 % interval of {measured.low:+g} to {measured.high:+g} points on {measured.questions} questions"]
    text += [f"{'questions':>9}  {'half the width, points':>22}  {f'power for {difference:g} points':>20}"]
    for questions in planned:
        width, power = measured.half_width(questions), measured.power(questions, difference)
        text.append(f"{questions:>9}  {width:>22.2f}  {power:>20.0%}")
    needed = measured.needed(difference)
    return [*text, f"{GOAL:.0%} power for {difference:g} points takes {needed} questions"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interval", nargs=2, type=float, required=True, metavar=("LOW", "HIGH"), help="in points")
    parser.add_argument("--questions", type=int, required=True, help="that it stands on")
    parser.add_argument("--difference", type=float, default=2.0, help="true difference to find, in points")
    parser.add_argument("--planned", default="256,384,512,768", help="numbers of questions, like 256,512")
    arguments = parser.parse_args()
    try:
        planned = [int(part) for part in arguments.planned.split(",")]
        if min(planned) < 1:
            raise ValueError(f"--planned {arguments.planned}: give numbers from 1 on")
        low, high = arguments.interval
        measured = Measured(low, high, arguments.questions)
        print("\n".join(lines(measured, arguments.difference, planned)))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
