"""What sources hold: spectra of their feature matrices, how these resemble each other, and their generations."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.palette import Style, styles
from ansatz.reporting.figures.style import LEGEND, STYLE, TINY, evenly_spaced, placeholder
from ansatz.reporting.formatting import short
from ansatz.reporting.generations import MEASURES, both_ways

KINDS = {"nfm": "NFM", "agop": "AGOP"}
LAYERS = 12  # at most, of a figure of spectra
COLUMNS = 4  # of its panels
SMALLEST = 1e-5  # share of the trace, below which eigenvalues are not drawn
ENTRIES = 8  # at most, of a legend of layers
CELL = 0.42  # inches, of a heat map
BESIDE = 0.08  # generations, between the intervals of two initializers
LINES = ("-", "--", "-.", ":")
FOLLOWED = {
    "correlation_previous": "correlation of NFM\nwith generation before",
    "correlation_first": "correlation of NFM\nwith generation 1",
    "effective_rank": "effective rank of NFM",
}  # columns of generations_features.csv -> labels


@figure
def spectra(table: pd.DataFrame) -> Figure:
    """Draw the eigenvalues of the sources' feature matrices.

    Parameters
    ----------
    table : DataFrame
        As ``sources/spectra.csv``.

    Returns
    -------
    Figure
        A panel for each kind of matrix and each layer of the same name and patch shape, `LAYERS` of each kind at most;
        a line for each source, with a circle at its effective rank. Both axes are logarithmic.
    """
    style_of = _in_order(table.source.unique())
    layers_of = {kind: _some_layers(table[table.kind == kind]) for kind in KINDS if kind in set(table.kind)}
    columns = min(COLUMNS, max(map(len, layers_of.values())))
    rows = [-(-len(layers) // columns) for layers in layers_of.values()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.6 * columns + LEGEND, 1.35 * sum(rows) + 0.4), layout="constrained")
        grid = figure.subplots(sum(rows), columns, sharey=True, squeeze=False)
        for axes in grid.flatten():
            axes.set_visible(False)
        parts = np.split(grid, np.cumsum(rows)[:-1])
        for (kind, layers), panels in zip(layers_of.items(), parts, strict=True):
            for axes, (layer, shape) in zip(panels.flatten(), layers, strict=False):
                axes.set_visible(True)
                own = table[(table.kind == kind) & (table.layer == layer) & (table["shape"] == shape)]
                _draw_spectra(axes, own, style_of)
                axes.set_title(f"{KINDS[kind]}, {short(layer)}\n{shape}", fontsize=TINY)
        figure.supxlabel("index of the eigenvalue", fontsize=8)
        figure.supylabel("eigenvalue / trace", fontsize=8)
        figure.legend(loc="outside right upper", title="circle:\neffective rank", **_entries(style_of))
    return figure


def _some_layers(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return names and shapes of layers, `LAYERS` at most."""
    layers = list(table[["layer", "shape"]].drop_duplicates().itertuples(index=False, name=None))
    return [layers[i] for i in evenly_spaced(len(layers), LAYERS)]


def _draw_spectra(axes: Axes, table: pd.DataFrame, style_of: dict[str, Style]) -> None:
    for source, own in table.groupby("source", sort=False):
        style, rank = style_of[source], own.effective_rank.iloc[0]
        drawn = own[own.eigenvalue >= SMALLEST]
        axes.plot(drawn["index"], drawn.eigenvalue, **style.line)
        if len(drawn):
            height = np.exp(np.interp(np.log(rank), np.log(drawn["index"]), np.log(drawn.eigenvalue)))
            axes.plot(rank, height, "o", color=style.colour, markersize=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())  # eight in each decade of each panel take longer than all else


@figure
def alignment(table: pd.DataFrame) -> Figure:
    """Draw how the feature matrices of sources correlate, as a heat map for each kind of matrix.

    Parameters
    ----------
    table : DataFrame
        As ``sources/alignment.csv``.

    Returns
    -------
    Figure
        A cell for each pair of sources: the Pearson correlation, averaged over layers, also in numbers. Pairs that
        cannot be compared are empty.
    """
    if table.empty:
        return placeholder("no two sources have layers of the same patch shapes")
    names_of = {
        kind: list(pd.concat([own.source, own.other]).unique())
        for kind in KINDS
        if len(own := table[table.kind == kind])
    }
    means = both_ways(table).groupby(["kind", "source", "other"]).correlation.mean()
    counts = [len(names) for names in names_of.values()]
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        size = (CELL * sum(counts) + 0.9 * len(counts) + 1.2, CELL * max(counts) + 1.0)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(counts), squeeze=False, width_ratios=counts)[0]
        for axes, (kind, names) in zip(panels, names_of.items(), strict=True):
            cells = means[kind].unstack().reindex(index=names, columns=names).to_numpy(copy=True)  # (sources, sources)
            np.fill_diagonal(cells, 1.0)
            image = axes.imshow(cells, cmap="RdBu_r", vmin=-1, vmax=1)
            for (row, column), value in np.ndenumerate(cells):
                if np.isfinite(value):
                    colour = "white" if abs(value) > 0.6 else "black"
                    text = f"{value:.2f}".replace("-", "−")
                    axes.text(column, row, text, ha="center", va="center", fontsize=TINY, color=colour)
            axes.set_title(KINDS[kind])
            axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        bar = figure.colorbar(image, ax=figure.axes, label="correlation,\nmean over layers")
        bar.outline.set_linewidth(STYLE["axes.linewidth"])
    return figure


@figure
def generations(learned: pd.DataFrame, features: pd.DataFrame) -> Figure:
    """Draw what is learned from each generation of sources, and how their NFM change.

    Parameters
    ----------
    learned, features : DataFrame
        As ``sources/generations_learned.csv`` and ``sources/generations_features.csv``.

    Returns
    -------
    Figure
        A row of panels for each dataset: paired differences to the baseline, which is generation 0, with their 95 %
        intervals; a line for each initializer of each chain. A row for each chain: correlations and effective ranks of
        the NFM; a line for each layer.
    """
    if learned.empty:
        return placeholder("no run with a source's features finished beside one of the baseline")
    datasets, chains = learned.dataset.unique(), features.chain.unique()
    colour_of = {kind: style.colour for kind, style in styles(learned.kind.unique()).items()}
    line_of = dict(zip(chains, cycle(LINES), strict=False))
    series = list(learned[["kind", "chain"]].drop_duplicates().itertuples(index=False, name=None))
    style_of = {(kind, chain): Style(colour_of[kind], line_of[chain]) for kind, chain in series}
    layer_of = _in_order(features.layer.unique(), lines="-")
    rows = len(datasets) + len(chains)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.2 * len(MEASURES) + 1.8, 1.75 * rows + 0.3), layout="constrained")
        grid = figure.subplots(rows, len(MEASURES), sharex=True, squeeze=False)
        above, below = np.split(grid, [len(datasets)])
        for panels, dataset in zip(above, datasets, strict=True):
            _draw_learned(panels, learned[learned.dataset == dataset], style_of)
            panels[0].set_ylabel(f"{dataset}, points")
        for panels, chain in zip(below, chains, strict=True):
            _draw_features(panels, features[features.chain == chain], layer_of)
            panels[0].set_ylabel(f"chain to {chain}")
        for axes in grid[-1]:
            axes.set_xlabel("generation")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        names = {kind if len(chains) == 1 else f"{kind}, to {chain}": style_of[kind, chain] for kind, chain in series}
        title = f"difference to\n{learned.baseline.iloc[0]}\n(generation 0):\nmean over seeds,\nbar: 95 % interval"
        figure.legend(loc="outside right upper", title=title, **_entries(names))
        layers = [list(layer_of)[i] for i in evenly_spaced(len(layer_of), ENTRIES)]
        shown = _entries({layer: layer_of[layer] for layer in layers})
        figure.legend(loc="outside right lower", title="layers,\nfirst seed", **shown)
    return figure


def _draw_learned(panels: np.ndarray, table: pd.DataFrame, style_of: Mapping[tuple[str, str], Style]) -> None:
    """Draw differences in points with their intervals, from the baseline on, which is generation 0."""
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for position, ((kind, chain), style) in enumerate(style_of.items()):
            own = table[(table.measure == measure) & (table.kind == kind) & (table.chain == chain)]
            generation = np.array([0, *own.generation]) + BESIDE * (position - (len(style_of) - 1) / 2)
            difference, low, high = (100 * np.array([0, *own[column]]) for column in ("difference", "low", "high"))
            interval = np.nan_to_num([difference - low, high - difference])
            axes.errorbar(generation, difference, yerr=interval, **style.marked, elinewidth=0.8)
        axes.axhline(0, color="black", linewidth=0.6, zorder=1)
        axes.set_title(title)


def _draw_features(panels: np.ndarray, table: pd.DataFrame, style_of: Mapping[str, Style]) -> None:
    for axes, (column, title) in zip(panels, FOLLOWED.items(), strict=True):
        for layer, own in table.groupby("layer", sort=False):
            axes.plot(own.generation, own[column], **style_of[layer].marked)
        axes.set_title(title)
    panels[-1].set_yscale("log", base=2)
    panels[-1].yaxis.set_major_formatter("{x:g}")


def _in_order(names: Iterable[str], lines: Sequence[str] = LINES) -> dict[str, Style]:
    """Return a style for each name, whose colours follow the order of names; line styles take turns."""
    names = list(names)
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    return dict(zip(names, map(Style, map(to_hex, colours), cycle(lines)), strict=False))


def _entries(style_of: Mapping[str, Style]) -> dict[str, Any]:
    """Return the entries of a legend of lines, as keywords of Matplotlib's."""
    handles = [Line2D([], [], **style.line) for style in style_of.values()]
    return {"handles": handles, "labels": list(style_of), "handlelength": 2.6, "alignment": "left"}
