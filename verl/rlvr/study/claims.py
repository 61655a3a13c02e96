"""Is a claim confirmed? Verdicts from intervals, by rules that were written down before the runs.

    above   confirmed if the interval lies above 0, refuted if it lies below it
    below   the other way round
    kept    confirmed if the interval lies above minus the margin, else refuted if it lies below 0

Everything else is "not confirmed", and a claim whose runs are not there is "not run". Pure functions. Deliberately left out: any
weighing of several claims together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from passk.estimate import Statistic
from passk.frontier import Path, after_training, matched
from rlvr.study.spec import Claim

CONFIRMED, NOT_CONFIRMED, REFUTED, NOT_RUN = "confirmed", "not confirmed", "refuted", "not run"
ENTROPY = "entropy"


@dataclass(frozen=True)
class Paths:
    """One method of one arm, over pass@1; entropy is None where its runs were not validated at every checkpoint."""

    pass_at_k: Path
    entropy: Path | None


@dataclass(frozen=True)
class Answer:
    """A claim, its figure (pass@k in points, entropy in nats), and what follows."""

    claim: Claim
    figure: Statistic | None
    verdict: str
    why: str = ""  # of a claim that was not run


def verdict(counts_as: str, low: float, high: float, margin: float) -> str:
    """What an interval says of a claim; interval and margin in the same unit."""
    if counts_as == "below":
        counts_as, low, high = "above", -high, -low
    if low > (-margin if counts_as == "kept" else 0):
        return CONFIRMED
    return REFUTED if high < 0 else NOT_CONFIRMED


def answer(claim: Claim, arms: Mapping[str, Mapping[str, Paths]]) -> Answer:
    """Judge a claim by the paths of arm -> method."""
    minus, _, other_arm = claim.minus.partition("@")
    found = [arms.get(claim.arm, {}).get(claim.method)]
    if claim.minus != "base":
        found.append(arms.get(other_arm or claim.arm, {}).get(minus))
    paths = [None if one is None else one.entropy if claim.figure == ENTROPY else one.pass_at_k for one in found]
    if None in found:
        return Answer(claim, None, NOT_RUN, "its runs are not there")
    there = [path for path in paths if path is not None]
    if len(there) < len(paths):
        return Answer(claim, None, NOT_RUN, "entropy was not measured at every checkpoint")
    reason = _unanswerable(claim, there)
    if reason:
        return Answer(claim, None, NOT_RUN, reason)
    figure = _figure(claim, there)
    if figure is None:
        return Answer(claim, None, NOT_RUN, "there is no pass@1 above the base's that both reach")
    scale = 1.0 if claim.figure == ENTROPY else 100.0
    scaled = Statistic(scale * figure.value, scale * figure.low, scale * figure.high, figure.questions)
    return Answer(claim, scaled, verdict(claim.counts_as, scaled.low, scaled.high, claim.margin))


def _unanswerable(claim: Claim, paths: list[Path]) -> str:
    """Why these paths have no interval for the claim; empty if they have."""
    if claim.figure != ENTROPY:
        return "" if claim.k in paths[0].ks else f"pass@{claim.k} was not asked for"
    # Entropy is one number a seed: with one seed there is nothing to draw from.
    return "" if all(path.seeds > 1 for path in paths) else "entropy has no interval with one seed"


def _figure(claim: Claim, paths: list[Path]) -> Statistic | None:
    key = ENTROPY if claim.figure == ENTROPY else claim.k
    assert key is not None  # checked with the specification
    if claim.where == "last":
        return after_training(*paths)[key]
    difference = matched(*paths)
    return None if difference is None else difference.mean[key]
