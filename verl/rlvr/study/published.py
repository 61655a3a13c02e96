"""Our figures beside published ones: a verdict for each cell. Pure functions.

A published figure that lies in our 95 % interval "agrees"; outside it ours is higher or lower by so many points. Intervals of the
published figures are not known, so "higher" and "lower" say too much where few questions were asked. Deliberately left out: a
verdict on the whole table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passk.estimate import Statistic

ROUNDING = 0.05  # points: published figures have one decimal


@dataclass(frozen=True)
class Cell:
    """One method, data set and k; percent."""

    dataset: str
    method: str
    key: str  # pass@k
    published: float | str | None  # None: no figure; text says why
    ours: Statistic | None  # None: not run

    @property
    def verdict(self) -> str:
        if self.ours is None:
            return "not run"
        if self.published is None or isinstance(self.published, str):
            return self.published or "not in our table"
        if self.ours.low - ROUNDING <= self.published <= self.ours.high + ROUNDING:
            return "agrees"
        difference = self.ours.value - self.published
        return f"ours is {'higher' if difference > 0 else 'lower'} by {abs(difference):.1f}"


def cells(
    dataset: str,
    published: Mapping[str, Mapping[str, float | str]],
    ours: Mapping[str, Mapping[str, Statistic]],
    methods: Sequence[str],
    keys: Sequence[str],
) -> list[Cell]:
    """Every cell of one data set; ``ours`` is method -> pass@k -> a share with its interval."""
    found = []
    for method in methods:
        for key in keys:
            here = ours.get(method, {}).get(key)
            percent = here and Statistic(100 * here.value, 100 * here.low, 100 * here.high, here.questions)
            found.append(Cell(dataset, method, key, published.get(method, {}).get(key), percent))
    return found


def table(rows: Sequence[Cell]) -> list[str]:
    """Markdown."""
    lines = ["| data set | method | | published, % | ours, % | |", f"|{' --- |' * 6}"]
    for one in rows:
        published = f"{one.published:.1f}" if isinstance(one.published, float) else "–"
        ours = "–" if one.ours is None else f"{one.ours.value:.1f} [{one.ours.low:.1f}, {one.ours.high:.1f}]"
        lines.append(f"| {one.dataset} | {one.method} | {one.key} | {published} | {ours} | {one.verdict} |")
    return lines
