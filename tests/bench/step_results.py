"""From the runs of :mod:`bench_step` to its table and plot."""

import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PHASES = ("gen", "reward", "old_log_prob", "adv", "update_actor", "update_weights", "step")
RIVALS = {"trl": "TRL", "upstream": "upstream", "bare": "bare"}
console = Console(width=160)


def phase(result: dict[str, Any], name: str) -> float:
    """Median seconds of a phase over the steps of a run; not a number where it has none."""
    values = [timing[name] for timing in result["steps"] if name in timing]
    return statistics.median(values) if values else float("nan")


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a size and contender: medians over the rounds, and the step's ratio to others', round by round."""
    rows = []
    for size in dict.fromkeys(result["size"] for result in results):
        of_size = [result for result in results if result["size"] == size]
        for contender in dict.fromkeys(result["contender"] for result in of_size):
            runs = [result for result in of_size if result["contender"] == contender]
            row: dict[str, Any] = {"size": size, "contender": contender, "rounds": len(runs)}
            row |= {name: statistics.median(phase(run, name) for run in runs) for name in PHASES}
            for key in ("start_s", "first_step_s", "cpu_s", "peak_pss_mib", "processes"):
                row[key] = statistics.median(run[key] for run in runs)
            for other in RIVALS:
                row[f"to_{other}"] = [
                    phase(run, "step") / phase(rival, "step")
                    for run in runs
                    for rival in of_size
                    if rival["contender"] == other and rival["round"] == run["round"]
                ]
            rows.append(row)
    return rows


def ratio(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def show(summary: list[dict[str, Any]]) -> None:
    table = Table(title="seconds; medians over the rounds, ratios of the step with their range")
    for name in (
        "size",
        "contender",
        "start",
        *PHASES,
        *(f"step / {title}" for title in RIVALS.values()),
        "CPU s",
        "GiB",
    ):
        table.add_column(name.replace("_", " "), justify="right")
    for row in summary:
        seconds = ["–" if row[name] != row[name] else f"{row[name]:.2f}" for name in PHASES]
        cells = [row["size"], row["contender"], f"{row['start_s']:.0f}", *seconds]
        cells += [ratio(row[f"to_{rival}"]) for rival in RIVALS]
        table.add_row(*cells, f"{row['cpu_s']:.0f}", f"{row['peak_pss_mib'] / 1024:.1f}")
    console.print(table)


def plot(summary: list[dict[str, Any]], file: Path) -> None:
    """Stacked phases of a step, one bar a contender, one panel a size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = list(dict.fromkeys(row["size"] for row in summary))
    figure, axes = plt.subplots(1, len(sizes), figsize=(5 * len(sizes), 4.4), squeeze=False)
    for axis, size in zip(axes[0], sizes):
        rows = [row for row in summary if row["size"] == size]
        bottoms = [0.0] * len(rows)
        for name in PHASES[:-1]:
            heights = [0.0 if row[name] != row[name] else row[name] for row in rows]
            axis.bar([row["contender"] for row in rows], heights, bottom=bottoms, label=name)
            bottoms = [bottom + height for bottom, height in zip(bottoms, heights)]
        rest = [max(0.0, row["step"] - bottom) for row, bottom in zip(rows, bottoms)]
        axis.bar([row["contender"] for row in rows], rest, bottom=bottoms, label="rest", color="lightgrey")
        axis.set_title(f"{size.replace('x', ' × ')} samples")
        axis.tick_params(axis="x", labelrotation=30)
        axis.set_ylabel("seconds a step")
    axes[0][-1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    plt.close(figure)
