"""Figures of the ansatz, layer by layer and network by network, and of features while a network trains."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ansatz.figures import LEGEND, PICTURES, STYLE, even
from ansatz.statistics import EVOLVED_PAIRS, PAIRS, over_layers
from ansatz.store import Evolution

# One look a pair that is compared: the ansatz, with AGOP's root dashed; its control in red, as the paper has it.
PAIR_LOOKS = {
    "nfm_agop": ("#0072b2", "-"),
    "nfm_root_agop": ("#56b4e9", "--"),
    "nfm_initial_nfm": ("#d55e00", "-"),
    "initial_nfm_initial_agop": ("#7f7f7f", ":"),
}
COLUMNS = 4  # of panels


def layers(tidy: pd.DataFrame) -> Figure:
    """Draw the correlations of each network's layers, from the first to the last.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    Figure
        A panel a (experiment, variant, dataset); lines are means over seeds, bands one standard deviation.
    """
    panels = list(tidy.groupby(["experiment", "variant", "dataset"], sort=False))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * columns + LEGEND, 1.6 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
        for axes, ((experiment, variant, dataset), group) in zip(grid, panels, strict=False):
            numbers = {layer: number for number, layer in enumerate(group.layer.unique(), 1)}
            for pair, (colour, dashes) in PAIR_LOOKS.items():
                over = group.groupby(group.layer.map(numbers))[f"correlation_{pair}"].agg(["mean", "std"]).fillna(0)
                mark = "o" if len(over) < 25 else ""
                axes.plot(over.index, over["mean"], color=colour, linestyle=dashes, marker=mark, markersize=2.5)
                axes.fill_between(
                    over.index, over["mean"] - over["std"], over["mean"] + over["std"], color=colour, alpha=0.12
                )
            axes.set_title(f"{_name(experiment, variant)}\n{dataset}", fontsize=6)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.axhline(0, color="black", linewidth=0.6, zorder=1)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supxlabel("convolution", fontsize=8)
        figure.supylabel("correlation", fontsize=8)
        figure.legend(grid[0].lines[: len(PAIR_LOOKS)], PAIRS.values(), loc="outside right upper", handlelength=2.6)
    return figure


def _name(experiment: str, variant: str) -> str:
    return variant if experiment in (variant, "pretrained") else f"{experiment}: {variant.replace('_', ' ')}"


def variants(tidy: pd.DataFrame) -> Figure:
    """Draw the cosines of each network: mean over layers, datasets and seeds, with one standard deviation.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.
    """
    summary = over_layers(tidy)[::-1].reset_index(drop=True)
    names = [_name(row.experiment, row.variant) for row in summary.itertuples()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.5 + LEGEND, 0.9 + 0.32 * len(summary)), layout="constrained")
        axes = figure.subplots()
        for position, (pair, (colour, _)) in enumerate(PAIR_LOOKS.items()):
            places = summary.index + 0.27 - 0.18 * position
            axes.errorbar(
                summary[f"cosine_{pair}"],
                places,
                xerr=summary[f"cosine_{pair}_std"].fillna(0),
                color=colour,
                fmt="o",
                markersize=3,
                elinewidth=1,
                label=PAIRS[pair],
            )
        axes.set_yticks(summary.index, names)
        axes.set_ylim(-0.6, len(summary) - 0.4)
        axes.set_xlabel("cosine, mean and standard deviation over layers, datasets and seeds")
        axes.set_xlim(min(0, axes.get_xlim()[0]), 1.02)
        figure.legend(loc="outside right upper")
    return figure


# ------------------------------------------------------------------------------------------------- evolution
MOMENTS = 8  # of a strip, from the first to the last
FILTERS = 8  # of a layer
LAYERS = 3
ENTRIES = 8  # of a legend
STRIP = 0.75  # inches


def curves(evolution: Evolution) -> Figure:
    """Draw losses and accuracies in evaluation mode over a training, from before its first epoch on."""
    epochs = evolution.curves["epoch"]
    parts = {"train_eval": ("training images", "#0072b2", "-"), "validation": ("validation", "#d55e00", "--")}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.8 + LEGEND, 2.0), layout="constrained")
        for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
            for part, (label, colour, dashes) in parts.items():
                values = evolution.curves[f"{part}_{measure}"]
                axes.plot(epochs, values, color=colour, linestyle=dashes, marker="o", markersize=2, label=label)
            _over_epochs(axes, measure)
        figure.axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def correlation(evolution: Evolution) -> Figure:
    """Draw how each layer's feature matrices correlate with those at the end, and with each other, over a training."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(evolution.layers)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * len(EVOLVED_PAIRS) + LEGEND, 2.1), layout="constrained")
        panels = figure.subplots(1, len(EVOLVED_PAIRS), sharey=True)
        for axes, (pair, title) in zip(panels, EVOLVED_PAIRS.items(), strict=True):
            for colour, (layer, followed) in zip(colours, evolution.layers.items(), strict=True):
                epochs, values = evolution.curves["epoch"], followed.correlations[pair]
                axes.plot(epochs, values, color=colour, marker="o", markersize=2, label=layer)
            axes.set_title(title)
            _over_epochs(axes)
        panels[0].set_ylabel("correlation")
        lines = [axes.lines[i] for i in even(len(axes.lines), ENTRIES)]
        figure.legend(lines, [str(line.get_label()) for line in lines], loc="outside right upper")
    return figure


def nfm(evolution: Evolution) -> Figure:
    """Draw the NFM of the first layer that was followed over a training, in one scale of colours about zero."""
    layer, followed = next(iter(evolution.layers.items()))
    filters = followed.filters
    flat = filters.reshape(*filters.shape[:2], -1)  # (moments, out, patch): of a grouped convolution, all groups in one
    return _strip({_when(evolution, i): [flat[i].T @ flat[i]] for i in _moments(evolution)}, "entry", [layer])


def filters(evolution: Evolution) -> Figure:
    """Draw filters of the first layer that was followed over a training; of several channels, their mean."""
    layer, followed = next(iter(evolution.layers.items()))
    found = followed.filters[:, :FILTERS]  # (moments, filters, in/groups, kh, kw)
    labels = [f"{layer}\nfilter {number}" for number in range(1, found.shape[1] + 1)]
    label = "weight" if found.shape[2] == 1 else "weight, mean over channels"
    return _strip({_when(evolution, i): list(found[i].mean(1)) for i in _moments(evolution)}, label, labels)


def outputs(evolution: Evolution) -> Figure:
    """Draw what layers make of one image over a training: a few filters of the first, the last, and one between."""
    names = [list(evolution.layers)[i] for i in even(len(evolution.layers), LAYERS)]
    rows = {name: evolution.layers[name].outputs[:, : FILTERS // 2] for name in names}  # (moments, filters, ...)
    labels = [f"{name}\nfilter {number}" for name, some in rows.items() for number in range(1, some.shape[1] + 1)]
    columns = {
        _when(evolution, i): [one / (np.abs(some).max() or 1.0) for some in rows.values() for one in some[i]]
        for i in _moments(evolution)
    }
    return _strip(columns, "output / layer's largest", labels)


def _moments(evolution: Evolution) -> np.ndarray:
    return even(len(evolution.curves["epoch"]), MOMENTS)


def _when(evolution: Evolution, moment: int) -> str:
    epoch = evolution.curves["epoch"][moment]
    if epoch and epoch < 1:
        return f"step {evolution.curves['step'][moment]:.0f}"
    return f"epoch {epoch:.0f}" if epoch else "before"


def _strip(columns: dict[str, list[np.ndarray]], label: str, rows: Sequence[str] = ("",)) -> Figure:
    """Draw maps, a column of (height, width) for each title, in one scale about zero; `rows` are their labels."""
    largest = max(np.abs(one).max() for maps in columns.values() for one in maps) or 1.0
    count = max(map(len, columns.values()))
    with mpl.rc_context(PICTURES):
        size = (STRIP * len(columns) + 1.2, STRIP * count + 0.3)
        figure = Figure(figsize=size, layout="compressed")
        grid = figure.subplots(count, len(columns), squeeze=False)
        for column, (title, maps) in zip(grid.T, columns.items(), strict=True):
            column[0].set_title(title, fontsize=7)
            for axes, drawn in zip(column, maps, strict=True):
                image = axes.imshow(drawn, cmap="RdBu_r", vmin=-largest, vmax=largest)
                axes.spines[:].set_visible(True)
        for axes, name in zip(grid[:, 0], rows, strict=False):
            axes.set_ylabel(name, fontsize=6, rotation=0, ha="right", va="center")
        with mpl.rc_context({"ytick.right": True}):
            bar = figure.colorbar(image, ax=grid, label=label, aspect=20 * count**0.5)
        bar.outline.set_linewidth(STYLE["axes.linewidth"])
    return figure


def _over_epochs(axes: Axes, label: str = "") -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


ALIGNMENTS = {"layers": layers, "variants": variants}
STAGES = {"curves": curves, "correlation": correlation, "nfm": nfm, "filters": filters, "outputs": outputs}
