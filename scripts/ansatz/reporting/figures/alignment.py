"""How NFM and AGOP align, layer by layer and network by network."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ansatz.reporting.alignment import PAIRS, by_variant
from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.palette import BLUE, GREY, SKY, VERMILION, Style
from ansatz.reporting.figures.style import LEGEND, STYLE

# The ansatz, with the root of AGOP dashed; its control in red, as in the paper.
STYLES = dict(zip(PAIRS, (Style(BLUE), Style(SKY, "--"), Style(VERMILION), Style(GREY, ":")), strict=True))
COLUMNS = 4  # of panels
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
        A panel for each (experiment, variant, dataset); lines are means over seeds, bands one standard deviation.
    """
    panels = list(tidy.groupby(["experiment", "variant", "dataset"], sort=False))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * columns + LEGEND, 1.6 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
        for axes, ((experiment, variant, dataset), group) in zip(grid, panels, strict=False):
            numbers = {layer: number for number, layer in enumerate(group.layer.unique(), 1)}
            marker = "o" if len(numbers) < CROWDED else ""
            for pair, style in STYLES.items():
                over = group.groupby(group.layer.map(numbers))[f"correlation_{pair}"].agg(["mean", "std"])
                axes.plot(over.index, over["mean"], **style.line, marker=marker, markersize=2.5)
                spread = over["std"].fillna(0)  # of a single seed
                low, high = over["mean"] - spread, over["mean"] + spread
                axes.fill_between(over.index, low, high, color=style.colour, alpha=0.12)
            axes.set_title(f"{_title(experiment, variant)}\n{dataset}", fontsize=6)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.axhline(0, color="black", linewidth=0.6, zorder=1)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supxlabel("convolution", fontsize=8)
        figure.supylabel("correlation", fontsize=8)
        figure.legend(grid[0].lines[: len(STYLES)], PAIRS.values(), loc="outside right upper", handlelength=2.6)
    return figure


@figure
def variants(tidy: pd.DataFrame) -> Figure:
    """Draw the correlations of each network: mean and standard deviation over layers, datasets and seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.
    """
    summary = by_variant(tidy)[::-1].reset_index(drop=True)
    titles = [_title(row.experiment, row.variant) for row in summary.itertuples()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.5 + LEGEND, 0.9 + 0.32 * len(summary)), layout="constrained")
        axes = figure.subplots()
        for position, (pair, style) in enumerate(STYLES.items()):
            axes.errorbar(
                summary[f"correlation_{pair}"],
                summary.index + 0.27 - 0.18 * position,
                xerr=summary[f"correlation_{pair}_std"].fillna(0),
                color=style.colour,
                fmt="o",
                markersize=3,
                elinewidth=1,
                label=PAIRS[pair],
            )
        axes.set_yticks(summary.index, titles)
        axes.set_ylim(-0.6, len(summary) - 0.4)
        axes.set_xlabel("correlation, mean and standard deviation over layers, datasets and seeds")
        axes.set_xlim(min(0, axes.get_xlim()[0]), 1.02)
        figure.legend(loc="outside right upper")
    return figure


def _title(experiment: str, variant: str) -> str:
    return variant if experiment in (variant, PRETRAINED) else f"{experiment}: {variant.replace('_', ' ')}"
