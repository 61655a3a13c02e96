"""The words and tables of the page of results, as Markdown lines. Pure functions; what is in them is :mod:`rlvr.study.results`."""

from collections.abc import Mapping, Sequence
from typing import Any

from passk.estimate import Statistic
from passk.frontier import SHARES, Matched, Point, Reach
from rlvr.study.claims import ENTROPY, Answer
from rlvr.study.gather import COSTS, Trained
from rlvr.study.runs import Asked, rate_text
from rlvr.study.spec import Claim, Spec


def head(spec: Spec, asked: Asked, made: Mapping[str, Any], missing: Sequence[str]) -> list[str]:
    """What was run, by what, and what is missing."""
    questions = "all questions" if asked.questions is None else f"the first {asked.questions} questions"
    steps = ", ".join(map(str, asked.steps))
    lines = [
        f"# {spec.title}: pass@k at the same pass@1",
        "",
        f"Made by `{made['command']}`, commit {made['commit']}, on {made['machine']}.",
        f"{spec.training.steps} steps; after steps {steps}, {questions} × {asked.samples} samples each.",
        f"Intervals: 95 %, bootstrap over questions and seeds ({spec.seeds} seed{'s' if spec.seeds > 1 else ''}).",
    ]
    if spec.claims and spec.protocol:
        lines.append(f"What counts for and against each claim was written down before the runs: {spec.protocol}.")
    if missing:
        lines += [
            "",
            "**Not complete**; no figure below stands on what is missing:",
            "",
            *(f"- {one}" for one in missing),
        ]
    return lines


def claims(answers: Sequence[Answer]) -> list[str]:
    """One row a claim."""
    lines = ["", "## Claim by claim", "", *_head(["claim", "arm", "figure", "value", "verdict"])]
    for one in answers:
        value = "–" if one.figure is None else _interval(one.figure, 1.0, _digits(one.claim))
        verdict = f"**{one.verdict}**" + (f": {one.why}" if one.why else "")
        lines.append(f"| {one.claim.text} | {one.claim.arm} | {figure_text(one.claim)} | {value} | {verdict} |")
    return lines


def figure_text(claim: Claim) -> str:
    what = "entropy, nats" if claim.figure == ENTROPY else f"pass@{claim.k}, points"
    where = "at the same pass@1" if claim.where == "matched" else "last step"
    rule = f"{claim.counts_as} (margin {claim.margin:g})" if claim.margin else f"{claim.counts_as} 0"
    return f"{what}: {claim.method} − {claim.minus}, {where}; {rule}"


def _digits(claim: Claim) -> int:
    return 3 if claim.figure == ENTROPY else 1


def arm(
    spec: Spec,
    name: str,
    title: str,
    pictures: Sequence[str],
    methods: Mapping[str, Trained],
    traces: Mapping[str, Sequence[Point]],
    differences: Sequence[Matched],
    without: Sequence[str],
    at_cost: Mapping[str, Mapping[str, Matched]],
    reaches: Mapping[str, Reach],
    report: str,
) -> list[str]:
    """One arm: pictures, differences at the same pass@1, how far each method comes, and every checkpoint."""
    ks = spec.evaluation.ks
    lines = ["", f"## {title}", ""]
    lines += [f"![{picture.removesuffix('.png').replace('_', ' ')}]({picture})" for picture in pictures]
    reference = spec.arms[name].reference
    if reference not in methods:
        lines += ["", f"No comparison at the same pass@1: {reference}, the reference of this arm, is not there."]
    for one in without if reference in methods else []:
        lines += ["", f"{one} and {reference} have no pass@1 above the base's in common: no comparison."]
    if differences:
        lines += ["", f"Minus {reference} at the same pass@1, in points; best first", ""]
        lines += matched_table(differences, ks)
    if at_cost:
        lines += ["", f"Minus {reference} at the same cost, pass@{ks[-1]} in points, mean over the common range", ""]
        lines += cost_table(at_cost, ks[-1])
    lines += [
        "",
        "How far each method comes, and the area under its path (points of pass@1, each weighted with pass@k there)",
        "",
    ]
    lines += reach_table(reaches, methods, ks)
    lines += ["", "Every checkpoint, means over seeds, in %", "", *checkpoint_table(methods, traces, ks)]
    return [
        *lines,
        "",
        f"After the last step, over every k, with training curves and answers: {report}/report.html, {report}/tables.md",
    ]


def matched_table(differences: Sequence[Matched], ks: Sequence[int]) -> list[str]:
    """The mean over the common range by k, and the largest k at each share of it."""
    last = ks[-1]
    places = [f"@{last} at {share:.0%}" if share < 1 else f"@{last} at its end" for share in SHARES]
    lines = _head(["method", "common range of pass@1, %", *(f"pass@{k}, mean over it" for k in ks), *places])
    for one in sorted(differences, key=lambda one: -one.mean[last].value):
        cells = [f"{100 * one.start:.1f} to {100 * one.levels[-1]:.1f}"]
        cells += [_interval(one.mean[k]) for k in ks] + [_interval(at) for at in one.at[last]]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return lines


def cost_table(at_cost: Mapping[str, Mapping[str, Matched]], k: int) -> list[str]:
    """One row a method, one column a cost; a dash where there is no common range."""
    lines = _head(["method", *(f"at the same {cost.split(',')[0]}" for cost in at_cost)])
    for name in dict.fromkeys(name for rows in at_cost.values() for name in rows):
        cells = [_interval(rows[name].mean[k]) if name in rows else "–" for rows in at_cost.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def reach_table(reaches: Mapping[str, Reach], methods: Mapping[str, Trained], ks: Sequence[int]) -> list[str]:
    lines = _head(["method (seeds)", "learning rate", "highest pass@1 minus base", *(f"area, pass@{k}" for k in ks)])
    for name, one in sorted(reaches.items(), key=lambda row: -row[1].area[ks[-1]].value):
        trained = methods[name]
        cells = [rate_text(trained.runs[0].learning_rate), _interval(one.gain), *(_interval(one.area[k]) for k in ks)]
        lines.append(f"| {name} ({len(trained.runs)}) | {' | '.join(cells)} |")
    return lines


def checkpoint_table(
    methods: Mapping[str, Trained], traces: Mapping[str, Sequence[Point]], ks: Sequence[int]
) -> list[str]:
    titles = ["method", "step", "pass@1", *(f"pass@{k}" for k in ks), "entropy, nats", *COSTS[1:]]
    lines = _head(titles)
    for name, points in traces.items():
        for place, point in enumerate(points):
            cells = [str(point.step), _interval(point.coordinate, sign="")]
            cells += [_interval(point.pass_at_k[k], sign="") for k in ks]
            lines.append(f"| {name} | {' | '.join(cells + _logged(methods[name], place))} |")
    return lines


def _logged(trained: Trained, place: int) -> list[str]:
    """Entropy, samples and tokens at a checkpoint: means over seeds; a dash where they were not logged."""
    entropy = trained.paths.entropy
    cells = ["–" if entropy is None else f"{entropy.values[:, place].mean():.3f}"]
    for name in COSTS[1:]:
        rows = trained.costs.get(name)
        cells.append("–" if rows is None else f"{sum(row[place] for row in rows) / len(rows):,.0f}")
    return cells


def _head(titles: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]


def _interval(value: Statistic, scale: float = 100.0, digits: int = 1, sign: str = "+") -> str:
    middle, low, high = (f"{scale * part:{sign}.{digits}f}" for part in (value.value, value.low, value.high))
    return f"{middle} [{low}, {high}]"
