"""The section of the page about features that form during a training."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from ansatz.files.evolution import Evolution, read_evolution
from ansatz.reporting.evolution import PAIRS
from ansatz.reporting.figures.evolution import snapshot_title
from ansatz.reporting.figures.style import evenly_spaced
from ansatz.reporting.formatting import short
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Chart, Picture, Section, Slides, section
from ansatz.reporting.page.pictures import map_of, tiled

FILTERS = 16  # at most, of a layer
LAYERS = 3  # at most, of which there are pictures
SNAPSHOTS = 24  # at most


@section
def evolution(evolutions: Sequence[str]) -> Section:
    """Make the section with a slider over the snapshots of each training."""
    blocks: list[Block] = []
    tables = []
    for path in evolutions:
        recorded = read_evolution(path)
        place = path.split("/evolution/")[-1].removesuffix("/evolution.h5")
        blocks += [
            Chart(
                f"{place}: {PAIRS[pair]}",
                _chart(recorded),
                "followed",
                {"run": place, "pair": pair},
                f"{PAIRS[pair]} by layer over epochs",
                height=300,
            )
            for pair in PAIRS
        ]
        blocks.append(slides(recorded, place))
        tables.append(_table(recorded, place))
    return Section(
        "How do features form?",
        blocks,
        {"followed": pd.concat(tables, ignore_index=True)} if tables else {},
        introduction="Feature matrices of each layer, before training, at a few steps of the first epoch, and after "
        "each epoch. Move the slider to see filters, NFM and outputs change; each has one scale of colours about zero "
        "for all snapshots (blue below, red above).",
    )


def slides(evolution: Evolution, place: str) -> Slides:
    """Return pictures of the snapshots of a training: filters, NFM and outputs of some of its layers."""
    kept = evenly_spaced(len(evolution.curves["epoch"]), SNAPSHOTS)
    strips: dict[str, list[Picture]] = {}
    for name in [list(evolution.layers)[number] for number in evenly_spaced(len(evolution.layers), LAYERS)]:
        layer = evolution.layers[name]
        weights = layer.filters.reshape(*layer.filters.shape[:2], -1)[kept]  # (snapshots, out, patch)
        drawn = {
            "filters": [sheet_of(each) for each in layer.filters[kept]],
            "NFM": list(np.einsum("sop,soq->spq", weights, weights)),
            "outputs": [tiled(each) for each in layer.outputs[kept, :FILTERS]],
        }
        for what, maps in drawn.items():
            largest = float(np.nanmax(np.abs(maps)))
            labels = [snapshot_title(evolution, snapshot) for snapshot in kept]
            strips[f"{short(name)}: {what}"] = [
                map_of(each, largest, f"{what} of {name}, {label}") for each, label in zip(maps, labels, strict=True)
            ]
    shown, all_ = len(kept), len(evolution.curves["epoch"])
    note = f" {shown} of {all_} snapshots, evenly spaced." if shown < all_ else ""
    return Slides([snapshot_title(evolution, snapshot) for snapshot in kept], strips, f"{place}.{note}")


def sheet_of(filters: np.ndarray) -> np.ndarray:
    """Return filters as one picture: of a convolution, some of them, averaged over channels; else the weights."""
    return tiled(filters[:FILTERS].mean(1)) if filters.ndim == 4 else filters


def _table(evolution: Evolution, place: str) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"run": place, "pair": pair, "layer": short(name), "epoch": evolution.curves["epoch"], "value": values}
        )
        for name, layer in evolution.layers.items()
        for pair, values in layer.correlations.items()
    ]
    return pd.concat(parts, ignore_index=True).dropna()


def _chart(evolution: Evolution) -> alt.Chart:
    shown = {"layer": "layer:N", "epoch": "epoch:Q|.3~g", "correlation": "value:Q|.3f"}
    order = [short(name) for name in evolution.layers]
    return (
        charts.chart()
        .mark_line(point=alt.OverlayMarkDef(size=30), strokeWidth=1.5)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title="correlation", scale=alt.Scale(zero=False)),
            color=alt.Color("layer:N", sort=order, scale=alt.Scale(scheme="viridis"), title="layer"),
            tooltip=charts.tooltips(shown),
        )
    )
