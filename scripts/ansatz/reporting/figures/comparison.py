"""Comparisons of the initializers: differences, speed of learning, learning rates, and activations before training."""

from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.layer_axis import LayerAxis
from ansatz.reporting.figures.palette import DISTINCT, Style, styles
from ansatz.reporting.figures.style import PANEL, PERCENT, STYLE, TINY, placeholder
from ansatz.reporting.formatting import with_interval
from ansatz.reporting.initialization import ALPHA, limits
from ansatz.reporting.speed import MARGIN

SMALL, COLUMNS = (1.1, 1.1), 5  # inches of a small panel, and how many are side by side at most
LETTER = 0.07  # inches, of the title of a small panel
ROW = 0.19  # inches, of an initializer
ABREAST = 3  # panels of datasets, at most
ENTRY = 0.16  # inches, of a line of a legend
NEVER = 0.14  # of the axis of epochs, for this word
WIDE_LEGEND = 1.8  # inches, for names such as kaiming_agop_shuffled+lsuv
MEASURES = {
    "target_epochs": "epochs to target\n(bar: median)",
    "area": "validation accuracy,\nmean over epochs\n(bar: mean)",
    "first_accuracy": "validation accuracy\nafter 1 epoch\n(bar: mean)",
}  # columns of speed.csv -> labels


@figure
def differences(table: pd.DataFrame) -> Figure:
    """Draw the differences to the baseline as a forest plot.

    Parameters
    ----------
    table : DataFrame
        As ``table.csv``.

    Returns
    -------
    Figure
        A panel for each dataset, a line for each initializer: the mean paired difference of the best validation
        accuracy and its 95 % interval, also in numbers; filled where the corrected p-value is below 0.05. The
        initializer with the largest mean over datasets is on top. Arrows at an edge stand for differences far beyond
        most intervals.
    """
    compared = table[table.initializer != table.baseline]
    if compared.empty:
        return placeholder(f"nothing was compared with {table.baseline.iloc[0]}")
    points = 100 * compared[["difference", "difference_low", "difference_high"]]
    compared = compared.assign(**points)
    order = compared.groupby("initializer", sort=False).difference.mean().sort_values(ascending=False, kind="stable")
    datasets, style_of = list(table.dataset.unique()), styles(table.initializer.unique())
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, len(datasets) * (0.3 + ROW * len(order)) + 0.6), layout="constrained")
        panels = figure.subplots(len(datasets), 1, sharex=True, sharey=True, squeeze=False).flatten()
        panels[0].set_xlim(limits(points))
        panels[0].set_yticks(range(len(order)), order.index)
        panels[0].set_ylim(len(order) - 0.4, -0.6)
        for axes, dataset in zip(panels, datasets, strict=True):
            axes.axvline(0, color="black", linewidth=0.8, zorder=1)
            axes.set_title(dataset, loc="left")
            rows = compared[compared.dataset == dataset].set_index("initializer")
            for position, initializer in enumerate(order.index):
                _draw_difference(axes, position, rows.loc[initializer], style_of[initializer])
        panels[-1].set_xlabel(
            f"best validation accuracy, difference to {table.baseline.iloc[0]} in percentage points [95 % interval]\n"
            "filled: p < 0.05 in a paired t test, corrected for all comparisons (Holm)"
        )
    return figure


def _draw_difference(axes: Axes, position: int, row: pd.Series, style: Style) -> None:
    """Draw an initializer's mean difference with its interval, and write them to the right of the panel."""
    text = with_interval(row.difference, row.difference_low, row.difference_high, "+.2f") or "diverged"
    axes.text(1.02, position, text, transform=axes.get_yaxis_transform(), va="center", fontsize=TINY)
    low, high = axes.get_xlim()
    if row.difference < low or row.difference > high:
        edge, marker = (0, "<") if row.difference < low else (1, ">")
        transform = axes.get_yaxis_transform()
        axes.plot(edge, position, marker, color=style.colour, markersize=5, transform=transform, clip_on=False)
        return
    face = style.colour if row.p < ALPHA else "white"
    axes.plot([row.difference_low, row.difference_high], [position] * 2, color=style.colour, linewidth=1.4)
    axes.plot(row.difference, position, "o", color=style.colour, markerfacecolor=face, markersize=5)


@figure
def speed(speed: pd.DataFrame) -> Figure:
    """Draw how fast networks learned.

    Parameters
    ----------
    speed : DataFrame
        As ``speed.csv``.

    Returns
    -------
    Figure
        A row of panels for each dataset: epochs until the target, the mean validation accuracy over epochs, and that
        after one epoch. A point is a seed, a bar the median (of epochs) or mean over seeds; triangles are seeds that
        never reached the target. There is no bar if these are half of the seeds or more.
    """
    datasets, initializers = list(speed.dataset.unique()), list(speed.initializer.unique())
    style_of = styles(initializers)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, len(datasets) * (0.35 + ROW * len(initializers)) + 0.5), layout="constrained")
        panels = figure.subplots(len(datasets), len(MEASURES), sharex="col", sharey=True, squeeze=False)
        panels[0][0].set_yticks(range(len(initializers)), initializers)
        panels[0][0].set_ylim(len(initializers) - 0.5, -0.5)
        panels[0][0].set_xlim(0.5, speed.epochs.max() + 1.5)
        for row, dataset in zip(panels, datasets, strict=True):
            runs = speed[speed.dataset == dataset]
            for axes, measure in zip(row, MEASURES, strict=True):
                for position, initializer in enumerate(initializers):
                    own = runs[runs.initializer == initializer]
                    _draw_seeds(axes, position, own, measure, style_of[initializer])
            row[0].set_title(f"{dataset}: {_target(runs.target.iloc[0], runs.baseline.iloc[0])}", loc="left")
        for axes, label in zip(panels[-1], MEASURES.values(), strict=True):
            axes.set_xlabel(label)
            axes.xaxis.set_major_formatter(PERCENT)
        last = int(speed.epochs.max())
        before = last + 1 - NEVER * (last + 1)  # where there is room for numbers
        ticks = [int(epoch) for epoch in MaxNLocator(5, integer=True).tick_values(1, last) if 1 <= epoch <= before]
        panels[-1][0].set_xticks([*ticks, last + 1], [*map(str, ticks), "never"])
    return figure


def _target(target: float, baseline: str) -> str:
    if np.isnan(target):
        return f"no target, as {baseline} diverged"
    return f"target {target:.1%} ({baseline} − {100 * MARGIN:g} point)"


def _draw_seeds(axes: Axes, position: int, runs: pd.DataFrame, measure: str, style: Style) -> None:
    """Draw the seeds of an initializer beside each other, and their median (of epochs) or mean."""
    values, heights = runs[measure].to_numpy(float), position + _beside(len(runs))
    axes.plot(values, heights, "o", color=style.colour, markersize=3, alpha=0.7)
    middle = np.nanmean(values) if np.isfinite(values).any() else np.nan
    if measure == "target_epochs":
        never = np.isnan(values)
        middle = np.median(np.where(never, np.inf, values))
        axes.plot(np.full(never.sum(), axes.get_xlim()[1] - 0.5), heights[never], ">", color=style.colour, markersize=3)
    if np.isfinite(middle):
        axes.plot([middle, middle], [position - 0.35, position + 0.35], color=style.colour, linewidth=1.6)


def _beside(count: int) -> np.ndarray:
    return np.linspace(-0.22, 0.22, count) if count > 1 else np.zeros(1)


@figure
def learning_rates(tuning: pd.DataFrame) -> Figure:
    """Draw the accuracy over learning rates.

    Parameters
    ----------
    tuning : DataFrame
        As ``tuning.csv``.

    Returns
    -------
    Figure
        A panel for each initializer, a line for each dataset: the mean best validation accuracy over the tuning seeds
        that did not diverge, with a band of one standard deviation and a circle at the chosen rate. Crosses at the
        bottom are rates at which a seed diverged. The initializer that reached the highest accuracy, averaged over
        datasets, comes first.
    """
    means = tuning.groupby(["initializer", "dataset", "learning_rate"], sort=False).best_validation_accuracy.mean()
    best = means.groupby(["initializer", "dataset"], sort=False).max().groupby("initializer", sort=False).mean()
    initializers = best.sort_values(ascending=False, kind="stable").index
    colour_of = dict(zip(tuning.dataset.unique(), cycle(DISTINCT), strict=False))
    columns = min(COLUMNS, len(initializers))
    rows = -(-len(initializers) // columns)
    with mpl.rc_context(STYLE | {"axes.titlesize": 7}):
        width = max(SMALL[0], LETTER * max(map(len, initializers)))
        size = (width * columns + 0.8, SMALL[1] * rows + 0.8 + 0.2 * (len(colour_of) > 1))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        first = panels[0, 0]
        first.set_xscale("log")
        first.set_xticks(rates := sorted(tuning.learning_rate.unique()), [f"{rate:g}" for rate in rates])
        first.xaxis.set_minor_locator(NullLocator())
        first.yaxis.set_major_formatter(PERCENT)
        for position, (axes, initializer) in enumerate(zip(panels.flatten(), initializers, strict=False)):
            axes.set_title(initializer)
            axes.tick_params("x", rotation=90, labelbottom=position + columns >= len(initializers))
            for dataset, colour in colour_of.items():
                runs = tuning[(tuning.dataset == dataset) & (tuning.initializer == initializer)]
                _draw_rates(axes, runs, colour, dataset)
        for axes in panels.flatten()[len(initializers) :]:
            axes.set_visible(False)
        figure.supylabel("best validation accuracy, mean over tuning seeds", size=8)
        figure.supxlabel("learning rate (band: 1 std; circle: chosen; cross: a seed diverged)", size=8)
        if len(colour_of) > 1:
            figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=len(colour_of))
    return figure


def _draw_rates(axes: Axes, runs: pd.DataFrame, colour: str, label: str) -> None:
    finished, diverged = runs[runs.status != "diverged"], runs[runs.status == "diverged"].learning_rate.unique()
    over_seeds = finished.groupby("learning_rate").best_validation_accuracy.agg(["mean", "std"]).fillna(0)
    axes.plot(over_seeds.index, over_seeds["mean"], color=colour, label=label)
    low, high = over_seeds["mean"] - over_seeds["std"], over_seeds["mean"] + over_seeds["std"]
    axes.fill_between(over_seeds.index, low, high, color=colour, alpha=0.2, linewidth=0)
    chosen = over_seeds[over_seeds.index.isin(finished[finished.chosen].learning_rate)]
    axes.plot(chosen.index, chosen["mean"], "o", color=colour, markersize=5, fillstyle="none")
    bottom = axes.get_xaxis_transform()
    axes.plot(diverged, [0.04] * len(diverged), "x", color=colour, markersize=4, transform=bottom, in_layout=False)


@figure
def activations(table: pd.DataFrame) -> Figure:
    """Draw the standard deviation of each layer's outputs in initial networks, from the first layer to the last.

    Parameters
    ----------
    table : DataFrame
        As ``activations.csv``: a row per layer, with the columns of `ansatz.files.tables.ACTIVATIONS`.

    Returns
    -------
    Figure
        A panel for each dataset, with a logarithmic axis. The legend is in the order in which the lines end, from the
        largest outputs to the smallest; those that are zero or no finite numbers are not drawn.
    """
    datasets, runs = list(table.dataset.unique()), ["dataset", "initializer", "seed"]
    last = table.groupby(runs, sort=False).tail(1).fillna({"std": np.inf}).groupby("initializer", sort=False)["std"]
    initializers = list(last.max().round(2).sort_values(ascending=False, kind="stable").index)
    drawn = table["std"].where(np.isfinite(table["std"]) & (table["std"] > 0))
    table, axis, style_of = table.assign(std=drawn), LayerAxis(table.layer.unique()), styles(initializers)
    columns = min(ABREAST, len(datasets))
    rows = -(-len(datasets) // columns)
    height = max(1.2 * PANEL[1] * rows, ENTRY * len(initializers) + 0.6)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL[0] * columns + WIDE_LEGEND, height), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
        for axes, dataset in zip(panels, datasets, strict=False):
            for initializer in initializers:
                own = table[(table.dataset == dataset) & (table.initializer == initializer)].set_index("layer")["std"]
                for places in axis.groups.values():
                    axes.plot(places.values(), own[list(places)], **style_of[initializer].marked, label=initializer)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.axhline(1, color="black", linewidth=0.6, zorder=1)
            axes.set_title(dataset)
            axes.set_xlabel("layer")
            axis.label(axes)
        for axes in panels[len(datasets) :]:
            axes.remove()
        figure.supylabel("standard deviation of outputs\nbefore training", fontsize=STYLE["font.size"])
        handles = [Line2D([], [], **style_of[initializer].marked) for initializer in initializers]
        title = "in the order of\nthe last layer"
        figure.legend(handles, initializers, loc="outside right upper", handlelength=2.6, title=title)
    return figure
