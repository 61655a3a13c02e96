"""Several training seeds of one method as one estimate, with intervals over questions and seeds.

A method's figure is the mean over its seeds of pass@k, itself a mean over questions. The interval is a 95 % percentile bootstrap
in which seeds and questions are drawn with replacement, independently of each other (10,000 resamples, fixed numbers): it says how
far the figure would move with other questions and another set of seeds. Three seeds are few, so their part of it is rough. Paired
differences draw the same questions for both methods and the seeds of each on their own. Deliberately left out: models of the noise.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from passk.estimate import CONFIDENCE, RESAMPLES, Difference, Estimate, Statistic, pass_column
from passk.tally import Tally

Floats = NDArray[np.float64]
Table = Floats  # (seeds, questions, columns): one value of every question under every seed


def estimate_seeds(name: str, tallies: Sequence[Tally], ks: Sequence[int]) -> Estimate:
    """The figures of one method, one complete tally a seed.

    Raises:
        ValueError: if the tallies do not hold the same questions, or a question has fewer samples than some k.
    """
    ids = common_questions({f"{name}, seed {number}": counts for number, counts in enumerate(tallies)})
    statistics = bootstrap(table(tallies, ids, ks))
    n = [one.n for counts in tallies for one in counts.questions.values()]
    return Estimate(
        name=name,
        questions=len(ids),
        samples=sum(n),
        samples_per_question=(min(n), max(n)),
        pass_at_k=dict(zip(ks, statistics)),
        maj_at_k={},
        accuracy=statistics[-4],
        solved_at_least_once=statistics[-3],
        solved_never=statistics[-2],
        solved_always=statistics[-1],
    )


def difference_seeds(
    name: str, tallies: Sequence[Tally], baseline_name: str, baseline: Sequence[Tally], ks: Sequence[int]
) -> Difference:
    """The paired difference of two methods, each with its own seeds, on the same questions.

    Raises:
        ValueError: if the questions are not the same.
    """
    ids = common_questions(dict(enumerate([*tallies, *baseline])))
    statistics = bootstrap(table(tallies, ids, ks), table(baseline, ids, ks))
    return Difference(name, baseline_name, dict(zip(ks, statistics)), statistics[-4])


def common_questions(tallies: dict) -> list[int | str]:
    """The ids that all of them have, in the order of the first.

    Raises:
        ValueError: names the first tally that asks other questions.
    """
    (first_name, first), *others = tallies.items()
    for other_name, other in others:
        same = {key: one.text for key, one in first.questions.items()} == {
            key: one.text for key, one in other.questions.items()
        }
        if not same:
            raise ValueError(f"{other.path} ({other_name}) does not ask the questions of {first.path} ({first_name})")
    return list(first.questions)


def table(tallies: Sequence[Tally], ids: Sequence[int | str], ks: Sequence[int]) -> Table:
    """(seeds, questions, len(ks) + 4): pass@k, then accuracy, solved at least once, never, always."""
    seeds = []
    for counts in tallies:
        n = np.array([counts.questions[key].n for key in ids])
        c = np.array([counts.questions[key].c for key in ids])
        if n.min() < max(ks):
            raise ValueError(
                f"{counts.path}: pass@{max(ks)} needs {max(ks)} samples of every question, one has {n.min()}"
            )
        seeds.append(np.stack([*(pass_column(n, c, k)[0] for k in ks), c / n, c > 0, c == 0, c == n], axis=1))
    return np.array(seeds, dtype=float)


def bootstrap(values: Table, minus: Table | None = None) -> list[Statistic]:
    """The mean of every column over seeds and questions, or the difference of two means, with its interval."""
    generator = np.random.default_rng(0)  # the same files give the same interval
    questions = values.shape[1]
    drawn = generator.multinomial(questions, np.full(questions, 1 / questions), size=RESAMPLES) / questions
    means = _resample(values, drawn, generator)
    middle = values.mean(axis=(0, 1))
    if minus is not None:
        means -= _resample(minus, drawn, generator)
        middle = middle - minus.mean(axis=(0, 1))
    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return [Statistic(*row, questions) for row in zip(middle.tolist(), low.tolist(), high.tolist())]


def _resample(values: Table, drawn: Floats, generator: np.random.Generator) -> Floats:
    """(resamples, columns): means under the drawn weights of the questions and fresh weights of the seeds."""
    seeds = values.shape[0]
    weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(drawn)) / seeds
    by_seed = [drawn @ one for one in values]  # each (resamples, columns)
    return np.einsum("rs,src->rc", weights, np.array(by_seed))
