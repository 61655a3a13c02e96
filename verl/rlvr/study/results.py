"""The page of results: claim by claim, then every arm, then our figures beside published ones.

    write(spec, planned, asked, folder, made)      → folder/results.md, its pictures, results.json, and report.html of each arm

Made of what is there; what is missing is named at the top. Deliberately left out: any choice among runs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from passk.estimate import Statistic
from passk.frontier import Matched, Reach, matched, reach, trace
from passk.frontier_plot import cost_picture, frontier_picture, matched_picture
from passk.seeds import estimate_seeds
from passk.storage import write_atomically
from passk.study import SeedRun, write_study
from rlvr.study import page, published
from rlvr.study.claims import Paths, answer
from rlvr.study.gather import COSTS, Gathered, Reader, Trained, gather
from rlvr.study.runs import BASE, Asked, Planned
from rlvr.study.spec import Spec


def write(spec: Spec, planned: Planned, asked: Asked, folder: Path, made: Mapping[str, Any]) -> list[str]:
    """Everything into ``folder``; returns the page's lines. ``made``: the command, the commit and the machine.

    Raises:
        RunFailed: if nothing can be compared yet.
        DataError, OSError: if a file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    read = Reader()
    every = {name: gather(spec, planned, asked, name, read) for name in asked.datasets}
    first = next(iter(every.values()))
    answers = [answer(claim, paths_of(first)) for claim in spec.claims]
    record: dict[str, Any] = {"title": spec.title, "made": dict(made), "missing": first.missing}
    record["claims"] = answers
    lines = page.head(spec, asked, made, first.missing)
    lines += page.claims(answers) if answers else []
    for name, gathered in every.items():
        for arm, methods in gathered.arms.items():
            if methods:
                more, facts = _arm(spec, gathered, arm, methods, folder, f"{name}: " if len(every) > 1 else "")
                lines += more
                record.setdefault("arms", []).append(facts)
    cells = _published(spec, every)
    lines += ["", "## Beside the published figures", "", *published.table(cells)] if cells else []
    write_atomically(folder / "results.json", [msgspec.json.format(msgspec.json.encode(record), indent=2), b"\n"])
    write_atomically(folder / "results.md", ["\n".join([*lines, ""]).encode()])
    return lines


def paths_of(gathered: Gathered) -> dict[str, dict[str, Paths]]:
    return {arm: {method: one.paths for method, one in methods.items()} for arm, methods in gathered.arms.items()}


def _arm(
    spec: Spec, gathered: Gathered, arm: str, methods: dict[str, Trained], folder: Path, prefix: str
) -> tuple[list[str], dict[str, Any]]:
    """Pictures, tables and the report of one arm on one data set."""
    stem = arm if not prefix else f"{arm}-{gathered.dataset.replace(' ', '_')}"
    title = f"{prefix}{spec.title}, arm {arm}"
    ks = list(spec.evaluation.ks)
    traces = {name: trace(one.paths.pass_at_k) for name, one in methods.items()}
    frontier_picture(traces, ks, title).savefig(folder / f"{stem}_frontier.png", dpi=140)
    pictures = [f"{stem}_frontier.png"]
    differences, without = _differences(methods, spec.arms[arm].reference)
    if differences:
        picture = matched_picture(differences, ks, list(methods), title)
        picture.savefig(folder / f"{stem}_matched.png", dpi=140)
        pictures.append(f"{stem}_matched.png")
    over_costs = _over_costs(methods)
    if over_costs:
        cost_picture(over_costs, ks[-1], title).savefig(folder / f"{stem}_costs.png", dpi=140)
        pictures.append(f"{stem}_costs.png")
    at_cost = _at_the_same_cost(methods, spec.arms[arm].reference)
    reaches = {name: reach(one.paths.pass_at_k) for name, one in methods.items()}
    at_the_end = {
        name: [SeedRun(run.seed, counts, run.folder / "metrics.jsonl") for run, counts in zip(one.runs, one.last)]
        for name, one in methods.items()
    }
    write_study(gathered.base, at_the_end, folder / stem, title)
    lines = page.arm(spec, arm, title, pictures, methods, traces, differences, without, at_cost, reaches, stem)
    return lines, _facts(gathered.dataset, arm, differences, at_cost, reaches)


def _differences(methods: Mapping[str, Trained], reference: str) -> tuple[list[Matched], list[str]]:
    """Each method minus the reference at the same pass@1, and those that have no common range with it."""
    if reference not in methods:
        return [], [name for name in methods if name != reference]
    found = {
        name: matched(one.paths.pass_at_k, methods[reference].paths.pass_at_k)
        for name, one in methods.items()
        if name != reference
    }
    return [one for one in found.values() if one], [name for name, one in found.items() if one is None]


def _over_costs(methods: Mapping[str, Trained]) -> dict[str, dict[str, list]]:
    """Cost -> method -> points; costs that no method has logged are left out."""
    found: dict[str, dict[str, list]] = {}
    for cost in COSTS:
        for name, one in methods.items():
            if cost in one.costs:
                found.setdefault(cost, {})[name] = trace(one.paths.pass_at_k.along(one.costs[cost]))
    return found


def _at_the_same_cost(methods: Mapping[str, Trained], reference: str) -> dict[str, dict[str, Matched]]:
    """Cost -> method -> the method minus the reference where both have cost as much, for those that have a common range."""
    found: dict[str, dict[str, Matched]] = {}
    of = methods.get(reference)
    for cost in COSTS if of else ():
        assert of is not None
        for name, one in methods.items():
            if name == reference or cost not in one.costs or cost not in of.costs:
                continue
            paths = (path.paths.pass_at_k.along(path.costs[cost]) for path in (one, of))
            difference = matched(*paths)
            if difference is not None:
                found.setdefault(cost, {})[name] = difference
    return found


def _facts(
    dataset: str,
    arm: str,
    differences: Sequence[Matched],
    at_cost: Mapping[str, Mapping[str, Matched]],
    reaches: Mapping[str, Reach],
) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "arm": arm,
        "matched": list(differences),
        "matched_at_cost": {cost: dict(rows) for cost, rows in at_cost.items()},
        "reach": dict(reaches),
    }


def _published(spec: Spec, every: Mapping[str, Gathered]) -> list[published.Cell]:
    """The cells of the data sets that the specification names figures for; of a method in several arms the first counts."""
    found = []
    for name, rows in spec.published.items():
        default = {"pass@1": None, f"pass@{spec.evaluation.ks[-1]}": None}
        keys = list({key: None for figures in rows.values() for key in figures} or default)
        ks = [int(key.removeprefix("pass@")) for key in keys]
        ours: dict[str, dict[str, Statistic]] = {BASE: _estimates(BASE, [every[name].base], ks)}
        for methods in every[name].arms.values():
            for method, one in methods.items():
                ours.setdefault(method, _estimates(method, one.last, ks))
        in_arms = [method for arm in every[name].arms for method in spec.arms[arm].methods]
        found += published.cells(name, rows, ours, list(dict.fromkeys([BASE, *in_arms, *rows])), keys)
    return found


def _estimates(name: str, tallies: list, ks: Sequence[int]) -> dict[str, Statistic]:
    return {f"pass@{k}": value for k, value in estimate_seeds(name, tallies, ks).pass_at_k.items()}
