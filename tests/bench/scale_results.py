"""From what the meters of :mod:`bench_scale` wrote to its tables."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table
from scale_processes import DATA_PLANE

STEP_S = 300.0  # of a 7B run on eight GPUs, of which the result is a share
ROLLOUT = "rollout"
PAYLOAD = {"PUT_DATA": "put", "GET_DATA_RESPONSE": "got"}  # TransferQueue's kinds of messages that carry samples
MB, GB = 1e6, 1e9


def by_phase(lines: Sequence[dict[str, Any]], messages: Sequence[dict[str, Any]], step: int) -> dict[str, dict]:
    """Of a step, for each phase: ``wall_s`` and, by process, ``cpu_s`` and, by what they carry, ``bytes``.

    Args:
        lines: of ``phases.jsonl``; each says what was used until then and what phase begins.
        messages: of TransferQueue, in any order.
    """
    phases: dict[str, dict] = {}
    sent = sorted(messages, key=lambda message: message["time"])
    at = 0
    for line, following in pairwise(lines):
        size: dict[str, int] = defaultdict(int)
        while at < len(sent) and sent[at]["time"] < following["time"]:
            if sent[at]["time"] >= line["time"]:
                size[PAYLOAD.get(sent[at]["kind"], "metadata")] += sent[at]["bytes"]
            at += 1
        if line["step"] != step:
            continue
        phase = phases.setdefault(
            line["phase"], {"wall_s": 0.0, "cpu_s": defaultdict(float), "bytes": defaultdict(int)}
        )
        phase["wall_s"] += following["time"] - line["time"]
        for name, seconds in following["cpu"].items():
            phase["cpu_s"][name] += seconds - line["cpu"].get(name, 0.0)
        for kind, number in size.items():
            phase["bytes"][kind] += number
    return phases


def total(result: dict[str, Any], names: Sequence[str] | None = None, left_out: str = "") -> float:
    """Processor seconds of a step, of the processes named, without those of a phase."""
    return sum(
        seconds
        for which, phase in result["phases"].items()
        for name, seconds in phase["cpu_s"].items()
        if which != left_out and (names is None or name in names)
    )


def waited(result: dict[str, Any]) -> float:
    """Seconds in which nothing is generated: of all phases but the rollout, which a generation runs beside."""
    return sum(phase["wall_s"] for name, phase in result["phases"].items() if name != ROLLOUT)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log value against log size by least squares."""
    x, y = [math.log(one) for one in sizes], [math.log(one) for one in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def show(results: Sequence[dict[str, Any]], console: Console) -> None:
    columns = ("samples × limit", "workers", "M tokens", "rollout s", "the rest s", "of 300 s")
    columns += ("data plane CPU s", "of 300 s", "without the rollout", "of 300 s", "rollout workers CPU s")
    table = Table(*columns, "trainer + queue GB", "all GB", "put, got MB")
    for result in results:
        peaks, size = result["peaks"], defaultdict(int)
        for phase in result["phases"].values():
            for kind, number in phase["bytes"].items():
                size[kind] += number
        rest, plane, after = waited(result), total(result, DATA_PLANE), total(result, DATA_PLANE, left_out=ROLLOUT)
        table.add_row(
            f"{result['samples']} × {result['limit']}",
            str(result["workers"]),
            f"{result['tokens'] / 1e6:.1f}",
            f"{result['phases'][ROLLOUT]['wall_s']:.1f}",
            f"{rest:.1f}",
            f"{rest / STEP_S:.1%}",
            f"{plane:.1f}",
            f"{plane / STEP_S:.1%}",
            f"{after:.1f}",
            f"{after / STEP_S:.1%}",
            f"{total(result, ['rollout workers']):.1f}",
            f"{peaks['trainer and TransferQueue'] / GB:.2f}",
            f"{peaks['all'] / GB:.2f}",
            f"{size['put'] / MB:.0f}, {size['got'] / MB:.0f}",
        )
    console.print(table)


def show_phases(result: dict[str, Any], console: Console) -> None:
    """Every phase of one run: its seconds, processor seconds of each process, megabytes through TransferQueue."""
    names = sorted({name for phase in result["phases"].values() for name in phase["cpu_s"]})
    title = f"{result['samples']} × {result['limit']}, rollout workers: {result['workers']}; CPU s of each process"
    table = Table("phase", "s", *names, "put MB", "got MB", "metadata MB", title=title)
    for name, phase in result["phases"].items():
        cpu = (f"{phase['cpu_s'].get(one, 0):.2f}" for one in names)
        sizes = (f"{phase['bytes'].get(kind, 0) / MB:.1f}" for kind in ("put", "got", "metadata"))
        table.add_row(name, f"{phase['wall_s']:.2f}", *cpu, *sizes)
    table.add_row("peak GB", "", *(f"{result['peaks'].get(name, 0) / GB:.2f}" for name in names), "", "", "")
    console.print(table)


def show_growth(results: Sequence[dict[str, Any]], console: Console) -> None:
    """The exponent of what grows with the number of samples, over all sizes of a limit and over those from 4,096 on."""
    table = Table("limit, workers", "samples", "the rest s", "data plane CPU s", "all CPU s", "trainer + queue GB")
    for limit, workers in dict.fromkeys((result["limit"], result["workers"]) for result in results):
        for least in (0, 4096):
            some = [
                one for one in results if (one["limit"], one["workers"]) == (limit, workers) and one["samples"] >= least
            ]
            sizes = sorted({one["samples"] for one in some})
            if len(sizes) < 2:
                continue
            some.sort(key=lambda one: one["samples"])
            values = [
                [waited(one) for one in some],
                [total(one, DATA_PLANE) for one in some],
                [total(one) for one in some],
                [one["peaks"]["trainer and TransferQueue"] for one in some],
            ]
            exponents = (f"{exponent([one['samples'] for one in some], column):.2f}" for column in values)
            table.add_row(f"{limit}, {workers}", f"{sizes[0]} … {sizes[-1]}", *exponents)
    if table.row_count:
        table.title = "growth: exponents"
        console.print(table)
