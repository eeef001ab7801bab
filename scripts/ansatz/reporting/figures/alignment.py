"""How NFM and AGOP align, layer by layer and network by network."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ansatz.files.tables import POWERS
from ansatz.reporting.alignment import CONTROLS, PAIRS, POWER, by_head, by_variant
from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.layer_axis import LayerAxis
from ansatz.reporting.figures.palette import BLACK, BLUE, GREEN, GREY, SKY, VERMILION, Style
from ansatz.reporting.figures.style import LEGEND, PICTURES, STYLE, TINY, placeholder

# The ansatz, with the root of AGOP dashed; its controls, the first in red, as in the paper.
STYLES = {
    "nfm_agop": Style(BLUE),
    "nfm_root_agop": Style(SKY, "--"),
    "nfm_initial_nfm": Style(VERMILION),
    "initial_nfm_initial_agop": Style(GREY, ":"),
    "nfm_root_nfm": Style(BLACK, ":"),
    "nfm_shuffled_agop": Style(GREEN, "-."),
}
LABELS = PAIRS | CONTROLS
COLUMNS = 4  # of panels
CELL = 0.32  # inches, of a head
CROWDED = 25  # layers, from which on they have no markers
PRETRAINED = "pretrained"  # the experiment of torchvision's networks, which are called by their variants alone


@figure
def layers(tidy: pd.DataFrame) -> Figure:
    """Draw the correlations in the layers of each network, from the first layer to the last.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    Figure
        A panel for each (experiment, variant, dataset); lines are means over seeds, bands one standard deviation. In
        networks of blocks, a line joins the layers of a kind.
    """
    styles = shown_pairs(tidy)
    with mpl.rc_context(STYLE):
        figure, panels = _panels(tidy, height=2.4 if tidy["head"].notna().any() else 1.6)  # there are kinds of layers
        for axes, group in panels:
            axis = LayerAxis(group.layer.unique())
            marker = "o" if len(axis.place) < CROWDED or len(axis.groups) > 1 else ""
            for pair, style in styles.items():
                over = group.groupby("layer")[f"correlation_{pair}"].agg(["mean", "std"])
                for places in axis.groups.values():
                    _draw_line(axes, over.loc[list(places)].set_index(pd.Index(places.values())), style, marker)
            axis.label(axes)
            axes.axhline(0, color="black", linewidth=0.6, zorder=1)
        figure.supxlabel("layer", fontsize=8)
        lines = [Line2D([], [], **style.line) for style in styles.values()]
        labels = [LABELS[pair] for pair in styles]
        figure.legend(lines, labels, loc="outside right upper", handlelength=2.6)
    return figure


def _draw_line(axes: Axes, over: pd.DataFrame, style: Style, marker: str) -> None:
    """Draw ``mean`` and ``std`` over seeds; the index is where."""
    axes.plot(over.index, over["mean"], **style.line, marker=marker, markersize=2)
    spread = over["std"].fillna(0)  # of a single seed
    low, high = over["mean"] - spread, over["mean"] + spread
    axes.fill_between(over.index, low, high, color=style.colour, alpha=0.12, linewidth=0)


@figure
def powers(tidy: pd.DataFrame) -> Figure:
    """Draw the correlation of NFM with powers of AGOP, a line a layer, from the first (dark) to the last (light).

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    Figure
        A panel for each (experiment, variant, dataset); lines are means over seeds, and dots are their maxima.
    """
    columns = [f"{POWER}{power}" for power in POWERS]
    with mpl.rc_context(STYLE):
        figure, panels = _panels(tidy)
        for axes, group in panels:
            means = group.groupby("layer", sort=False)[columns].mean().dropna()
            colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(means)))
            for colour, (layer, row) in zip(colours, means.iterrows(), strict=True):
                axes.plot(POWERS, row, color=colour, label=layer)
                best = int(row.to_numpy().argmax())
                axes.plot(POWERS[best], row.iloc[best], "o", color=colour, markersize=2.5)
            axes.set_xscale("log")
            axes.set_xticks([0.125, 0.25, 0.5, 1, 2], ["1/8", "1/4", "1/2", "1", "2"])
            axes.minorticks_off()
        figure.supxlabel("power α of AGOP", fontsize=8)
        ends = [Line2D([], [], color=mpl.colormaps["viridis"](shade)) for shade in (0, 0.9)]
        title = "of NFM and AGOP^α,\na line a layer"
        figure.legend(ends, ["first layer", "last layer"], loc="outside right upper", title=title)
    return figure


@figure
def heads(tidy: pd.DataFrame) -> Figure:
    """Draw the correlation of NFM and AGOP in each head of each attention.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    Figure
        A row for each (experiment, variant, dataset), and in it a map for queries, keys and values: blocks from top to
        bottom, heads from left to right. Entries are means over seeds.
    """
    panels = list(by_head(tidy).groupby(["experiment", "variant", "dataset"], sort=False))
    if not panels:
        return placeholder("none of these networks has an attention")
    kinds = max((group.kind.unique() for _, group in panels), key=len)
    lowest = np.floor(10 * min(group.correlation_nfm_agop.min() for _, group in panels)) / 10
    with mpl.rc_context(PICTURES | {"xtick.labelbottom": True, "ytick.labelleft": True}):
        figure = Figure(figsize=_size_of_heads(panels, len(kinds)), layout="compressed")
        grid = figure.subplots(len(panels), len(kinds), squeeze=False)
        for row, ((experiment, variant, dataset), group) in zip(grid, panels, strict=True):
            for number, (axes, kind) in enumerate(zip(row, group.kind.unique(), strict=False)):
                drawn = group[group.kind == kind].pivot(index="block", columns="head", values="correlation_nfm_agop")
                image = axes.imshow(drawn, vmin=lowest, vmax=1)
                axes.set_xticks(range(drawn.shape[1]), [f"{head:.0f}" for head in drawn.columns], fontsize=TINY)
                axes.set_yticks(range(drawn.shape[0]), [f"{block:.0f}" for block in drawn.index], fontsize=TINY)
                axes.tick_params(labelleft=number == 0)
                axes.set_title(kind.rpartition(".")[2] if row[0] is grid[0, 0] else "", fontsize=TINY)
                for (y, x), value in np.ndenumerate(drawn.to_numpy()):
                    colour = "white" if value < (1 + lowest) / 2 else "black"
                    axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=TINY, color=colour)
            row[0].set_ylabel(f"{network_title(experiment, variant)}\n{dataset}\nblock", fontsize=TINY)
        figure.supxlabel("head, from 1; blocks as in the names of layers", fontsize=TINY)
        with mpl.rc_context({"ytick.right": True}):
            figure.colorbar(image, ax=grid, label="correlation of NFM and AGOP").outline.set_visible(False)
    return figure


def _size_of_heads(panels: list[tuple[Any, pd.DataFrame]], kinds: int) -> tuple[float, float]:
    """Return width and height, in inches, so that the numbers fit into their cells."""
    wide = max(group["head"].nunique() for _, group in panels)
    high = sum(group.block.nunique() for _, group in panels)
    return kinds * (CELL * wide + 0.2) + 1.3, CELL * high + 0.45 * len(panels) + 0.2


@figure
def variants(tidy: pd.DataFrame) -> Figure:
    """Draw the correlations of each network: mean and standard deviation over layers, datasets and seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.
    """
    summary = by_variant(tidy)[::-1].reset_index(drop=True)
    titles = [network_title(row.experiment, row.variant) for row in summary.itertuples()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.5 + LEGEND, 0.9 + 0.32 * len(summary)), layout="constrained")
        axes = figure.subplots()
        styles = shown_pairs(tidy)
        for position, (pair, style) in enumerate(styles.items()):
            axes.errorbar(
                summary[f"correlation_{pair}"],
                summary.index + 0.27 - 0.54 * position / (len(styles) - 1),
                xerr=summary[f"correlation_{pair}_std"].fillna(0),
                color=style.colour,
                fmt="o",
                markersize=3,
                elinewidth=1,
                label=LABELS[pair],
            )
        axes.set_yticks(summary.index, titles)
        axes.set_ylim(-0.6, len(summary) - 0.4)
        axes.set_xlabel("correlation, mean and standard deviation over layers, datasets and seeds")
        axes.set_xlim(min(0, axes.get_xlim()[0]), 1.02)
        figure.legend(loc="outside right upper")
    return figure


def _panels(tidy: pd.DataFrame, height: float = 1.6) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Return a figure, and for each network its titled panel, `height` inches high, with the rows of its layers."""
    groups = list(tidy[tidy["head"].isna()].groupby(["experiment", "variant", "dataset"], sort=False))
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(1.9 * columns + LEGEND, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for axes, ((experiment, variant, dataset), _) in zip(grid, groups, strict=False):
        axes.set_title(f"{network_title(experiment, variant)}\n{dataset}", fontsize=TINY)
    for axes in grid[len(groups) :]:
        axes.set_visible(False)
    figure.supylabel("correlation", fontsize=8)
    return figure, [(axes, group) for axes, (_, group) in zip(grid, groups, strict=False)]


def shown_pairs(tidy: pd.DataFrame) -> dict[str, Style]:
    """Return the styles of the pairs that were compared anywhere."""
    return {pair: style for pair, style in STYLES.items() if tidy[f"correlation_{pair}"].notna().any() or pair in PAIRS}


def network_title(experiment: str, variant: str) -> str:
    """Return what a network is called in figures."""
    return variant if experiment in (variant, PRETRAINED) else f"{experiment}: {variant.replace('_', ' ')}"
