"""Pictures of paths: through (pass@1, pass@k), at the same pass@1, and over what they cost.

One colour a method, the same in every picture; a star is the base model, a large dot the last checkpoint. Deliberately left out:
bands along the paths, which hide each other; the last checkpoint carries its interval, and the tables have the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from passk.estimate import Statistic
from passk.frontier import Matched, Point
from passk.plot import new_figure, plain

BASE_COLOUR = "black"
MORE_COLOURS = ("gold", "navy", "lightgreen", "darkred")  # unlike the ten of tab10; tab20's are pairs that look alike
CROWD = 6  # with more methods a legend inside a panel would cover their ways


def colours(names: Sequence[str]) -> dict[str, Any]:
    """A colour for each method, in their order."""
    from matplotlib import colormaps

    ten = colormaps["tab10"]
    palette = [*(ten(number) for number in range(ten.N)), *MORE_COLOURS]
    return {name: palette[number % len(palette)] for number, name in enumerate(names)}


def frontier_picture(traces: Mapping[str, Sequence[Point]], ks: Sequence[int], title: str) -> Any:
    """A figure, one panel a k: every method's way from the base through (pass@1, pass@k). Higher and further right is better."""
    figure, axes = new_figure(1, len(ks), figsize=(4.6 * len(ks), 4.6), squeeze=False)
    for panel, k in zip(axes[0], ks):
        for name, colour in colours(list(traces)).items():
            points = traces[name]
            _way(panel, [point.coordinate for point in points], [point.pass_at_k[k] for point in points], colour, name)
        start = next(iter(traces.values()))[0]
        _base(panel, 100 * start.coordinate.value, start.pass_at_k[k])
        panel.set_title(f"pass@{k} while pass@1 rises", fontsize=11)
        panel.set_xlabel("pass@1, %")
    axes[0][0].set_ylabel("pass@k, %")
    _legend(figure, axes[0][0])
    figure.suptitle(
        f"{plain(title)}: ★ base → ● last step, with its 95 % interval; higher at the same pass@1 is better",
        fontsize=11,
    )
    return figure


def cost_picture(traces: Mapping[str, Mapping[str, Sequence[Point]]], k: int, title: str) -> Any:
    """A figure, one panel a coordinate (name and unit -> method -> points): pass@k over what it cost."""
    figure, axes = new_figure(1, len(traces), figsize=(4.6 * len(traces), 4.4), squeeze=False)
    for panel, (coordinate, methods) in zip(axes[0], traces.items()):
        for name, colour in colours(list(methods)).items():
            xs = [point.coordinate.value for point in methods[name]]
            ys = [100 * point.pass_at_k[k].value for point in methods[name]]
            panel.plot(xs, ys, color=colour, marker="o", markersize=3, linewidth=1.6, label=plain(name))
            panel.plot(xs[-1:], ys[-1:], color=colour, marker="o", markersize=8)
        panel.set_xlabel(plain(coordinate))
        panel.grid(alpha=0.3)
    axes[0][0].set_ylabel(f"pass@{k}, %")
    _legend(figure, axes[0][0])
    figure.suptitle(plain(title), fontsize=11)
    return figure


def matched_picture(differences: Sequence[Matched], ks: Sequence[int], names: Sequence[str], title: str) -> Any:
    """A figure, one panel a k: each method minus the reference at the same pass@1, mean over the common range.

    Right of the line is better than the reference; an interval that crosses it says that they are not told apart. ``names`` are all
    the methods of the other pictures, whose colours these have.
    """
    figure, axes = new_figure(
        1, len(ks), figsize=(4.2 * len(ks), 1.6 + 0.42 * len(differences)), squeeze=False, sharey=True
    )
    shown = sorted(differences, key=lambda one: one.mean[ks[-1]].value)
    colour = colours(names)
    for panel, k in zip(axes[0], ks):
        panel.axvline(0, color=BASE_COLOUR, linewidth=1.2)
        for place, one in enumerate(shown):
            mean = one.mean[k]
            panel.plot(
                [100 * mean.low, 100 * mean.high], [place, place], color=colour[one.name], linewidth=3, alpha=0.5
            )
            panel.plot([100 * mean.value], [place], color=colour[one.name], marker="o", markersize=8)
            panel.annotate(
                f"{100 * mean.value:+.1f}",
                (100 * mean.value, place),
                textcoords="offset points",
                xytext=(0, 7),
                ha="center",
                fontsize=9,
            )
        panel.set_title(f"pass@{k} at the same pass@1", fontsize=11)
        panel.set_xlabel(f"minus {plain(differences[0].baseline)}, points")
        panel.set_ylim(-0.6, len(shown) - 0.2)
        panel.grid(alpha=0.3, axis="x")
    axes[0][0].set_yticks(range(len(shown)), [plain(one.name) for one in shown])
    figure.suptitle(plain(title), fontsize=11)
    return figure


def _way(panel: Any, xs: Sequence[Statistic], ys: Sequence[Statistic], colour: Any, name: str) -> None:
    """A path in percent: thin dots, a large one at the end with its interval."""
    panel.plot(
        [100 * x.value for x in xs],
        [100 * y.value for y in ys],
        color=colour,
        marker="o",
        markersize=3.5,
        linewidth=1.8,
        label=plain(name),
    )
    x, y = xs[-1], ys[-1]
    panel.plot([100 * x.value], [100 * y.value], color=colour, marker="o", markersize=9)
    panel.plot([100 * x.value] * 2, [100 * y.low, 100 * y.high], color=colour, linewidth=1, alpha=0.6)
    panel.grid(alpha=0.3)


def _legend(figure: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    if len(labels) <= CROWD:
        panel.legend(fontsize=9, loc="best")
    else:
        figure.legend(handles, labels, fontsize=9, loc="outside right center")


def _base(panel: Any, x: float, y: Statistic) -> None:
    panel.axhline(100 * y.value, color=BASE_COLOUR, linewidth=0.8, linestyle=":")
    panel.plot([x], [100 * y.value], color=BASE_COLOUR, marker="*", markersize=15, zorder=5)
