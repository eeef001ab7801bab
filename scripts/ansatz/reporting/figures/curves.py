"""Curves of the initialization study over epochs: accuracy, gap, and any other metric."""

from collections.abc import Callable, Mapping
from functools import partial

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ansatz.errors import UserError
from ansatz.reporting.figures.catalogue import figure, figures_of
from ansatz.reporting.figures.palette import CHARCOAL, GREY, SILVER, Style, styles
from ansatz.reporting.figures.style import BAND, LEGEND, PANEL, PERCENT, STYLE, TINY
from ansatz.reporting.formatting import folded

TOGETHER = 8  # initializers, at most, that are drawn in one panel
CHANCE = "commonest class"  # the label of the accuracy of guessing it
MULTIPLES = 6  # panels in a row, where each has its own


def figure_of(name: str) -> Callable[[pd.DataFrame], Figure]:
    """Return the function that draws a figure from ``tidy.csv``: one of this module, or `metric` with this name."""
    return figures_of(__name__).get(name, partial(metric, name=name))


@figure
def accuracy(tidy: pd.DataFrame) -> Figure:
    """Draw training and validation accuracy over epochs, as `metric` does, in percent.

    Where the axis reaches it, a dashed grey line is the accuracy of guessing the commonest class, in the column
    ``chance``.
    """
    curves = metric(tidy, "accuracy")
    for axes in curves.axes:
        axes.yaxis.set_major_formatter(PERCENT)
    return curves


@figure
def gap(tidy: pd.DataFrame) -> Figure:
    """Draw the gap, validation loss − training loss, over epochs.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``.

    Returns
    -------
    Figure
        Above, with the training loss as in the published study (running mean, dropout on); below, with the training
        loss in evaluation mode at the end of the epoch. A column of panels for each dataset.
    """
    gaps = tidy.assign(
        running=tidy.validation_loss - tidy.train_loss, evaluated=tidy.validation_loss - tidy.train_eval_loss
    )
    curves = draw_columns(gaps, {"running": "gap (running training loss)", "evaluated": "gap (evaluation mode)"})
    for axes in curves.axes:
        axes.axhline(0, color="black", linewidth=0.6, zorder=1)
    return curves


def metric(tidy: pd.DataFrame, name: str) -> Figure:
    """Draw a metric over epochs.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``, with the columns ``train_<name>`` and ``validation_<name>``.
    name : str
        The metric, such as ``"accuracy"``.

    Returns
    -------
    Figure
        Above, on the training images (running mean, dropout on); below, on the validation images. A column of panels
        for each dataset.

    Raises
    ------
    UserError
        If the runs did not measure it.
    """
    label = name.replace("_", " ")
    rows = {f"train_{name}": f"training {label}", f"validation_{name}": f"validation {label}"}
    if missing := [column for column in rows if column not in tidy]:
        raise UserError(f"figure {name}: the runs have no column {missing[0]}; add {name} to training.metrics")
    return draw_columns(tidy, rows, chance=name == "accuracy" and "chance" in tidy)


def draw_columns(tidy: pd.DataFrame, rows: Mapping[str, str], *, chance: bool = False) -> Figure:
    """Draw columns of a tidy table over epochs: the mean over seeds, with a band of one standard deviation.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``; epochs that diverged are left out.
    rows : mapping of str to str
        Column -> label; each is a row of panels.
    chance : bool
        Whether to draw the column ``chance``.

    Returns
    -------
    Figure
        Of more than `TOGETHER` initializers, a panel for each, with all others in grey: the first column dashed, the
        second one with a line.
    """
    datasets, initializers = list(tidy.dataset.unique()), list(tidy.initializer.unique())
    if len(initializers) > TOGETHER:
        return _draw_multiples(tidy[tidy.status == "ok"], rows, chance=chance)
    style_of = styles(initializers)
    size = (PANEL[0] * len(datasets) + LEGEND, PANEL[1] * len(rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(rows), len(datasets), sharex=True, sharey="row", squeeze=False)
        for row, (column, label) in zip(panels, rows.items(), strict=True):
            for axes, dataset in zip(row, datasets, strict=True):
                _draw_panel(axes, tidy[(tidy.dataset == dataset) & (tidy.status == "ok")], column, style_of)
            row[0].set_ylabel(label)
        for axes, dataset in zip(panels[0], datasets, strict=True):
            axes.set_title(dataset)
        for axes in panels[-1]:
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes, dataset in zip(panels.flatten(), datasets * len(rows), strict=True):
            if chance:
                _draw_chance(axes, tidy[tidy.dataset == dataset])
        lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
        labels = [name for name in [*initializers, CHANCE] if name in lines]
        handles = [lines[name] for name in labels]
        figure.legend(handles, labels, loc="outside right upper", handlelength=2.6, title=BAND)
    return figure


def _draw_multiples(tidy: pd.DataFrame, rows: Mapping[str, str], *, chance: bool) -> Figure:
    """Draw a panel for each dataset and initializer."""
    datasets, initializers = list(tidy.dataset.unique()), list(tidy.initializer.unique())
    style_of, lines = styles(initializers), dict(zip(rows, ("--", "-"), strict=True))
    count = -(-len(initializers) // MULTIPLES)  # of rows for each dataset
    columns = -(-len(initializers) // count)  # as many in the last row as in others, or nearly so
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.25 * columns + 0.5, 1.15 * count * len(datasets) + 0.5), layout="constrained")
        blocks = figure.subfigures(len(datasets), 1, squeeze=False).flatten()
        for block, dataset in zip(blocks, datasets, strict=True):
            means = tidy[tidy.dataset == dataset].groupby(["initializer", "epoch"], sort=False)[list(rows)].mean()
            grid = block.subplots(count, columns, sharex=True, sharey=True, squeeze=False).flatten()
            for axes, initializer in zip(grid, initializers, strict=False):
                for other in initializers:
                    is_own = other == initializer
                    for column, line in lines.items() if other in means.index else ():
                        colour = style_of[other].colour if is_own else SILVER
                        weight = {"linewidth": 1.1 if is_own else 0.4, "zorder": 3 if is_own else 1}
                        axes.plot(means.loc[other][column], line, color=colour, label=rows[column], **weight)
                axes.set_title(folded(initializer), fontsize=TINY)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.tick_params(labelsize=TINY)
            for axes in grid[: len(initializers)] if chance else ():
                _draw_chance(axes, tidy[tidy.dataset == dataset])
            for axes in grid[len(initializers) :]:
                axes.set_visible(False)
            for axes in grid[max(0, len(initializers) - columns) : len(initializers)]:
                axes.tick_params(labelbottom=True)  # also where the panel below is not there
            block.suptitle(dataset, fontsize=STYLE["axes.titlesize"])
            block.supxlabel("epoch", fontsize=TINY)
        handles = [Line2D([], [], label=rows[column], **Style(CHARCOAL, line).line) for column, line in lines.items()]
        handles += [line for line in grid[0].lines if line.get_label() == CHANCE]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=TINY)
    return figure


def _draw_chance(axes: Axes, tidy: pd.DataFrame) -> None:
    """Draw the accuracy of guessing the commonest class, if the axis reaches it: it must not flatten the curves."""
    (low, high), level = axes.get_ylim(), tidy.chance.max()
    if low <= level <= high:
        axes.axhline(level, **Style(GREY, (0, (2, 2))).line, linewidth=0.8, zorder=1, label=CHANCE)


def _draw_panel(axes: Axes, tidy: pd.DataFrame, column: str, style_of: Mapping[str, Style]) -> None:
    for initializer, runs in tidy.groupby("initializer", sort=False):
        over_seeds = runs.groupby("epoch")[column].agg(["mean", "std"]).fillna(0)
        style = style_of[str(initializer)]
        axes.plot(over_seeds.index, over_seeds["mean"], **style.line, label=initializer)
        low, high = over_seeds["mean"] - over_seeds["std"], over_seeds["mean"] + over_seeds["std"]
        axes.fill_between(over_seeds.index, low, high, color=style.colour, alpha=0.12, linewidth=0)
