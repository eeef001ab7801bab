"""How features form while a network trains."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ansatz.files.evolution import Evolution
from ansatz.reporting.evolution import PAIRS
from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.palette import BLUE, VERMILION, Style
from ansatz.reporting.figures.style import LEGEND, PERCENT, PICTURES, STYLE, TINY, evenly_spaced
from ansatz.reporting.formatting import short

SNAPSHOTS = 8  # at most, from the first to the last
FILTERS = 8  # at most, of a layer
LAYERS = 3  # at most, of which outputs are drawn
ENTRIES = 8  # at most, of a legend
MAP = 0.75  # inches, the side of a map
PARTS = {
    "train_eval": ("training images", Style(BLUE)),
    "validation": ("validation", Style(VERMILION, "--")),
}


@figure
def curves(evolution: Evolution) -> Figure:
    """Draw losses and accuracies in evaluation mode over a training, from before its first epoch on."""
    epochs = evolution.curves["epoch"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.8 + LEGEND, 2.0), layout="constrained")
        for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
            for part, (label, style) in PARTS.items():
                values = evolution.curves[f"{part}_{measure}"]
                axes.plot(epochs, values, **style.line, marker="o", markersize=2, label=label)
            _set_epochs(axes, measure)
        figure.axes[0].yaxis.set_major_formatter(PERCENT)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


@figure
def correlation(evolution: Evolution) -> Figure:
    """Draw how the feature matrices of each layer correlate with the final ones, and with each other.

    There is a line for each layer; of more than `ENTRIES` layers, a row of a map, from the first layer to the last.
    """
    if len(evolution.layers) > ENTRIES:
        return _correlation_maps(evolution)
    epochs = evolution.curves["epoch"]
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(evolution.layers)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * len(PAIRS) + LEGEND, 2.1), layout="constrained")
        panels = figure.subplots(1, len(PAIRS), sharey=True)
        for axes, (pair, title) in zip(panels, PAIRS.items(), strict=True):
            for colour, (name, layer) in zip(colours, evolution.layers.items(), strict=True):
                axes.plot(epochs, layer.correlations[pair], color=colour, marker="o", markersize=2, label=short(name))
            axes.set_title(title)
            _set_epochs(axes)
        panels[0].set_ylabel("correlation")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def _correlation_maps(evolution: Evolution) -> Figure:
    epochs, names = evolution.curves["epoch"], list(evolution.layers)
    ticks = evenly_spaced(len(epochs), ENTRIES)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(1.6 * len(PAIRS) + 1.9, 0.125 * len(names) + 0.8), layout="constrained")
        panels = figure.subplots(1, len(PAIRS), sharey=True)
        for axes, (pair, title) in zip(panels, PAIRS.items(), strict=True):
            rows = np.array([layer.correlations[pair] for layer in evolution.layers.values()])  # (layers, snapshots)
            image = axes.imshow(rows, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.set_xticks(ticks, [f"{epochs[i]:.2g}" for i in ticks], fontsize=TINY)
        panels[0].set_yticks(range(len(names)), map(short, names), fontsize=TINY)
        figure.colorbar(image, ax=panels, label="correlation", ticks=[-1, 0, 1])
    return figure


@figure
def nfm(evolution: Evolution) -> Figure:
    """Draw the NFM of the first recorded layer at snapshots of a training."""
    name, layer = next(iter(evolution.layers.items()))
    weights = layer.filters.reshape(*layer.filters.shape[:2], -1)  # (snapshots, out, patch): all groups in one
    columns = {snapshot_title(evolution, i): [weights[i].T @ weights[i]] for i in _drawn_snapshots(evolution)}
    return _draw_maps(columns, [name], "entry")


@figure
def filters(evolution: Evolution) -> Figure:
    """Draw filters of the first recorded layer at snapshots of a training, averaged over their channels."""
    name, layer = next(iter(evolution.layers.items()))
    drawn = layer.filters[:, :FILTERS]  # (snapshots, filters, in/groups, kh, kw)
    rows = [f"{short(name)}\nfilter {number}" for number in range(1, drawn.shape[1] + 1)]
    scale = "weight" if drawn.shape[2] == 1 else "weight, mean over channels"
    columns = {snapshot_title(evolution, i): list(drawn[i].mean(1)) for i in _drawn_snapshots(evolution)}
    return _draw_maps(columns, rows, scale)


@figure
def outputs(evolution: Evolution) -> Figure:
    """Draw an image, and a few outputs of the first, a middle and the last layer for it, at snapshots of a training."""
    names = [list(evolution.layers)[i] for i in evenly_spaced(len(evolution.layers), LAYERS)]
    drawn = {name: evolution.layers[name].outputs[:, : FILTERS // 2] for name in names}  # (snapshots, filters, ...)
    rows = [f"{short(name)}\nfilter {number}" for name, maps in drawn.items() for number in range(1, maps.shape[1] + 1)]
    image = np.moveaxis(evolution.image, 0, -1)
    columns = {
        snapshot_title(evolution, i): [image]
        + [output / (np.abs(maps).max() or 1.0) for maps in drawn.values() for output in maps[i]]
        for i in _drawn_snapshots(evolution)
    }
    return _draw_maps(columns, ["input", *rows], "output / layer's largest")


def _drawn_snapshots(evolution: Evolution) -> np.ndarray:
    return evenly_spaced(len(evolution.curves["epoch"]), SNAPSHOTS)


def snapshot_title(evolution: Evolution, snapshot: int) -> str:
    """Return what a snapshot is called: the epoch or step after which it was taken."""
    epoch = evolution.curves["epoch"][snapshot]
    if epoch == 0:
        return "before"
    return f"epoch {epoch:.0f}" if epoch >= 1 else f"step {evolution.curves['step'][snapshot]:.0f}"


def _draw_maps(columns: dict[str, list[np.ndarray]], rows: Sequence[str], scale: str) -> Figure:
    """Draw maps, (height, width), in one scale of colours about zero, and images, (height, width, channels), in theirs.

    Parameters
    ----------
    columns : dict of str to list of ndarray
        Title -> the maps below it.
    rows : sequence of str
        Their labels.
    scale : str
        The label of the scale of colours.
    """
    largest = max(np.abs(drawn).max() for maps in columns.values() for drawn in maps if drawn.ndim == 2) or 1.0
    with mpl.rc_context(PICTURES):
        figure = Figure(figsize=(MAP * len(columns) + 1.2, MAP * len(rows) + 0.3), layout="compressed")
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        for column, (title, maps) in zip(grid.T, columns.items(), strict=True):
            column[0].set_title(title, fontsize=TINY)
            for axes, drawn in zip(column, maps, strict=True):
                if drawn.ndim == 2:
                    scaled = axes.imshow(drawn, cmap="RdBu_r", vmin=-largest, vmax=largest)
                else:
                    axes.imshow(drawn, cmap="gray", vmin=0, vmax=255)
                axes.spines[:].set_visible(True)
        for axes, label in zip(grid[:, 0], rows, strict=True):
            axes.set_ylabel(label, fontsize=TINY, rotation=0, ha="right", va="center")
        with mpl.rc_context({"ytick.right": True}):
            bar = figure.colorbar(scaled, ax=grid, label=scale, aspect=20 * len(rows) ** 0.5)
        bar.outline.set_linewidth(STYLE["axes.linewidth"])
    return figure


def _set_epochs(axes: Axes, label: str = "") -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
