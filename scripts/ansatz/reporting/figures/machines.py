"""Scores of kernel machines: accuracy against noise, and improvement over the baseline."""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Formatter, FuncFormatter

from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.palette import Style, styles
from ansatz.reporting.figures.style import LEGEND, PANEL, STYLE, TINY, placeholder
from ansatz.reporting.machines import TASK, Machine, baseline_of, present, summarize

DODGE = 0.3  # of the distance between levels of noise, over which error bars are spread
LEVELS = 6  # of noise, at most, that have ticks
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.3g}")
POINTS = FuncFormatter(lambda share, _: f"{100 * share:+.3g}".replace("-", "−") if share else "0")
Machines = Mapping[str, Machine]
Styles = Mapping[str, Style]
Draw = Callable[[Axes, pd.DataFrame, Machines, Styles], None]


@figure
def noise(tidy: pd.DataFrame, machines: Machines) -> Figure:
    """Draw test accuracy against the level of noise; error bars are one standard deviation over seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``kernels/tidy.csv``. Machines are drawn with all their layers.
    machines : mapping of str to Machine
        By label.

    Returns
    -------
    Figure
        A panel for each (experiment, dataset), a line for each machine; where there is one level of noise, a bar.
    """
    summary = with_all_layers(summarize(tidy, machines))
    return _draw_panels(summary, machines, _draw_noise, "noise", "test accuracy, percent", PERCENT)


@figure
def improvement(tidy: pd.DataFrame, machines: Machines) -> Figure:
    """Draw the improvement over the baseline as bars with their 95 % interval; parameters as for `noise`."""
    return _draw_improvement(with_all_layers(summarize(tidy, machines)), machines, _draw_bars, "noise")


@figure
def layers(tidy: pd.DataFrame, machines: Machines) -> Figure:
    """Draw the improvement over the baseline against the number of layers that learn features.

    There is a line for each machine and level of noise; the level is written at its end. Lines of deep machines start
    from the baseline. Parameters as for `noise`.
    """
    summary = summarize(tidy, machines)
    deep = [label for label, machine in machines.items() if machine.starts_from]
    first = summary[summary.machine.isin(deep)].drop_duplicates([*TASK, "machine"])
    summary = pd.concat([summary, first.assign(layers=0, difference=0.0)])  # without layers it is the baseline
    return _draw_improvement(summary, machines, _draw_layers, "layers that learn features")


def styles_of(machines: Machines, labels: Iterable[str]) -> dict[str, Style]:
    """Return the style of each machine, which does not depend on what a figure shows.

    Parameters
    ----------
    machines : mapping of str to Machine
        Those that are declared, by label.
    labels : iterable of str
        Those that are drawn, of which some may not be declared.
    """
    every = {**machines, **present(machines, labels)}
    return styles(every, grey=[label for label, machine in every.items() if not machine.learns_features])


def with_all_layers(summary: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows in which a machine has all its layers."""
    return summary[summary.layers == summary.groupby([*TASK, "machine"]).layers.transform("max")]


def _draw_improvement(summary: pd.DataFrame, machines: Machines, draw: Draw, x: str) -> Figure:
    baseline = baseline_of(machines)
    if baseline is None:
        return placeholder("no baseline to compare machines with")
    title = machines[baseline].title
    others = summary[summary.machine != baseline]
    if others.empty:
        return placeholder(f"no machine was run besides {title}")
    return _draw_panels(others, machines, draw, x, f"gain over {title}, points", POINTS)


def _draw_panels(summary: pd.DataFrame, machines: Machines, draw: Draw, x: str, y: str, ticks: Formatter) -> Figure:
    shown, style_of = present(machines, summary.machine), styles_of(machines, summary.machine)
    panels = list(summary.groupby(["experiment", "dataset"], sort=False))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        size = (0.8 * PANEL[0] * columns + LEGEND, 0.9 * PANEL[1] * rows)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, ((experiment, dataset), group) in zip(grid, panels, strict=False):
            draw(axes, group, shown, style_of)
            axes.set_title(dataset if experiment == dataset else f"{experiment}: {dataset}")
            axes.yaxis.set_major_formatter(ticks)
            axes.set_xlabel(x)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supylabel(y, fontsize=STYLE["font.size"])
        handles = {
            label: drawn for axes in grid for drawn, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        titles = [machine.title for machine in shown.values()]
        figure.legend([handles[title] for title in titles], titles, loc="outside right upper", handlelength=2.6)
    return figure


def _draw_noise(axes: Axes, summary: pd.DataFrame, machines: Machines, style_of: Styles) -> None:
    levels, drawn = sorted(summary.noise.unique()), present(machines, summary.machine)
    if len(levels) == 1:
        _draw_accuracies(axes, summary, drawn, style_of)
        return
    step = DODGE * min(b - a for a, b in pairwise(levels)) / len(drawn)  # so that error bars stand side by side
    for number, (label, machine) in enumerate(drawn.items()):
        scores = summary[summary.machine == label].sort_values("noise")
        axes.errorbar(
            scores.noise + step * (number - (len(drawn) - 1) / 2),
            scores.accuracy,
            yerr=scores.accuracy_std.fillna(0),
            **style_of[label].marked,
            elinewidth=0.8,
            label=machine.title,
        )
    axes.xaxis.set_major_locator(FixedLocator(levels, nbins=LEVELS))
    axes.xaxis.set_major_formatter("{x:g}")


def _draw_accuracies(axes: Axes, summary: pd.DataFrame, drawn: Machines, style_of: Styles) -> None:
    """Draw the accuracies at one level of noise, from a tenth below the lowest on."""
    scores = summary.set_index("machine").loc[list(drawn)]
    spread = scores.accuracy_std.fillna(0)
    for place, (label, machine) in enumerate(drawn.items()):
        style, accuracy = style_of[label], scores.accuracy[label]
        axes.bar(place, accuracy, 0.8, color=style.colour, hatch=style.hatch, edgecolor="white", label=machine.title)
        axes.errorbar(place, accuracy, yerr=spread[label], fmt="none", ecolor="black", elinewidth=0.8)
    axes.set_ylim(max(0, (scores.accuracy - spread).min() - 0.1), None)
    axes.set_xticks([(len(drawn) - 1) / 2], [f"{summary.noise.iloc[0]:g}"])


def _draw_bars(axes: Axes, summary: pd.DataFrame, machines: Machines, style_of: Styles) -> None:
    places = {level: place for place, level in enumerate(sorted(summary.noise.unique()))}
    drawn = present(machines, summary.machine)
    width = 0.8 / len(drawn)
    for number, (label, machine) in enumerate(drawn.items()):
        scores, style = summary[summary.machine == label], style_of[label]
        x = scores.noise.map(places) + (number - (len(drawn) - 1) / 2) * width
        interval = [scores.difference - scores.difference_low, scores.difference_high - scores.difference]
        axes.bar(
            x, scores.difference, width, color=style.colour, hatch=style.hatch, edgecolor="white", label=machine.title
        )
        axes.errorbar(x, scores.difference, yerr=np.nan_to_num(interval), fmt="none", ecolor="black", elinewidth=0.8)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(list(places.values()), [f"{level:g}" for level in places])


def _draw_layers(axes: Axes, summary: pd.DataFrame, machines: Machines, style_of: Styles) -> None:
    levels = sorted(summary.noise.unique())
    opacity = dict(zip(levels, np.linspace(1, 0.35, len(levels))[::-1], strict=True))
    for (label, level), scores in summary.groupby(["machine", "noise"], sort=False):
        scores = scores.sort_values("layers")
        style, title = style_of[label], machines[label].title if level == levels[-1] else None
        axes.plot(scores.layers, scores.difference, **style.marked, alpha=opacity[level], label=title)
        if len(levels) > 1:
            axes.annotate(
                f"{level:g}",
                (scores.layers.iloc[-1], scores.difference.iloc[-1]),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=TINY,
                color=style.colour,
            )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(int(summary.layers.max()) + 1))
