"""The curves as pictures: pass@k over k and its differences with interval bands, and how the questions' solve rates are spread.

Deliberately left out: smoothing, and any axis that starts where the difference looks largest; pass@k runs to 100 %.
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from passk.estimate import Difference, Estimate, Statistic

BINS = 20
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")  # colours alone are no sign


def plot_curves(estimates: Sequence[Estimate], path: Path, title: str) -> None:
    """Draw pass@k over k (log scale), one line and one 95 % band a model, to ``path`` (PNG or SVG by its suffix)."""
    figure = _curves(estimates, title)
    figure.savefig(path, dpi=150)


def curves_svg(estimates: Sequence[Estimate], title: str) -> str:
    """The same picture as SVG text."""
    return svg_text(_curves(estimates, title))


def solve_rates_svg(solve_rates: Mapping[str, Sequence[float]]) -> str:
    """A histogram of the questions' solve rates, one panel a model, as SVG text."""
    figure, panels = _panels(list(solve_rates), "questions")
    for panel, rates in zip(panels, solve_rates.values()):
        panel.hist(np.asarray(rates) * 100, bins=np.linspace(0, 100, BINS + 1))
    return svg_text(figure)


def outcomes_svg(
    solve_rates: Mapping[str, Sequence[float]], outcomes: Mapping[str, Mapping[str, Sequence[int]]]
) -> str:
    """The same histogram with samples in place of questions, stacked by what became of them, as SVG text.

    Args:
        solve_rates: of every question, by model.
        outcomes: by model and outcome, how many samples of every question had it; the same outcomes for every model.
    """
    figure, panels = _panels(list(solve_rates), "samples")
    for panel, (name, rates) in zip(panels, solve_rates.items()):
        counts = outcomes[name]
        total = sum(map(sum, counts.values()))
        drawn = panel.hist(
            [np.asarray(rates) * 100] * len(counts),
            bins=np.linspace(0, 100, BINS + 1),
            weights=list(counts.values()),
            stacked=True,
            label=[f"{outcome} {100 * sum(of) / max(1, total):.1f} %" for outcome, of in counts.items()],
        )
        for bars, hatch in zip(drawn[2], HATCHES):
            for bar in bars:
                bar.set(hatch=hatch, edgecolor="white", linewidth=0.3)
        panel.legend(fontsize=7)
    return svg_text(figure)


def _panels(names: Sequence[str], counted: str) -> tuple[Any, list[Any]]:
    """A figure with a panel a model over the solve rate."""
    columns = min(len(names), 3)
    rows = math.ceil(len(names) / columns)
    figure, axes = new_figure(rows, columns, figsize=(4.2 * columns, 3.0 * rows), sharey=True, squeeze=False)
    for panel in axes.flat[len(names) :]:
        panel.remove()
    for panel, name in zip(axes.flat, names):
        panel.set_title(plain(name), fontsize=10)
        panel.set_xlabel("solved samples of a question, %")
    for row in axes:
        row[0].set_ylabel(counted)
    return figure, list(axes.flat)[: len(names)]


def difference_curves(differences: Sequence[Difference], title: str) -> Any:
    """A figure: pass@k minus the baseline's over k, in points, where curves of pass@k lie too close to be told apart."""
    figure, axes = new_figure(figsize=(6.4, 4.2))
    axes.axhline(0, color="C0", linewidth=1.4)
    for number, one in enumerate(differences, start=1):  # the colours that the methods have beside the base
        _line(axes, one.name, one.pass_at_k, f"C{number}")
    baselines = ", ".join(dict.fromkeys(one.baseline for one in differences))
    _finish(axes, [one.pass_at_k for one in differences], title)
    axes.set_ylabel(f"pass@k minus {plain(baselines)}, points")
    axes.legend(loc="upper right")
    return figure


def difference_points(differences: Sequence[Difference], title: str) -> Any:
    """A figure: the same differences method by method, at the smallest, the middle and the largest k, with their intervals.

    For many methods in an order, such as the values of a weight, whose curves over k hide each other.
    """
    figure, axes = new_figure(1, 3, figsize=(12.5, 3.8))
    ks = sorted(set.intersection(*(set(one.pass_at_k) for one in differences)))
    names = [plain(one.name) for one in differences]
    colours = [f"C{number}" for number in range(1, len(differences) + 1)]  # those of the curves
    for panel, k in zip(axes, (ks[0], ks[len(ks) // 2], ks[-1])):
        for place, (one, colour) in enumerate(zip(differences, colours)):
            at_k = one.pass_at_k[k]
            panel.plot([place, place], [100 * at_k.low, 100 * at_k.high], color=colour, linewidth=2, alpha=0.5)
            panel.plot([place], [100 * at_k.value], color=colour, marker="o")
        panel.axhline(0, color="C0", linewidth=1.4)
        panel.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=9)
        panel.set_title(f"pass@{k} minus {plain(differences[0].baseline)}, points", fontsize=10)
        panel.grid(alpha=0.3, axis="y")
    figure.suptitle(plain(title), fontsize=11)
    return figure


def _curves(estimates: Sequence[Estimate], title: str) -> Any:
    figure, axes = new_figure(figsize=(6.4, 4.2))
    for number, one in enumerate(estimates):
        _line(axes, one.name, one.pass_at_k, f"C{number}")
    _finish(axes, [one.pass_at_k for one in estimates], title)
    axes.set_ylim(top=101)
    axes.set_ylabel("pass@k, %")
    axes.legend(loc="lower right")
    return figure


def _line(axes: Any, name: str, pass_at_k: Mapping[int, Statistic], colour: str) -> None:
    """The values of one model in percent, with their band."""
    ks, values = list(pass_at_k), list(pass_at_k.values())
    axes.plot(ks, [100 * one.value for one in values], marker="o", markersize=4, label=plain(name), color=colour)
    low, high = [100 * one.low for one in values], [100 * one.high for one in values]
    axes.fill_between(ks, low, high, alpha=0.15, color=colour, linewidth=0)


def _finish(axes: Any, curves: Sequence[Mapping[int, Statistic]], title: str) -> None:
    ticks = sorted({k for curve in curves for k in curve})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.set_xlabel("k")
    axes.set_title(plain(title))
    axes.grid(alpha=0.3)


def new_figure(*shape: int, **settings: Any) -> tuple[Any, Any]:
    """A figure that no window and no global state knows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = settings.pop("figsize")
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(*shape, **settings)


def svg_text(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def plain(text: str) -> str:
    """A file's name may hold a dollar sign, which matplotlib would read as mathematics."""
    return text.replace("$", r"\$")
