"""The section of the page about features that form during a training."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from ansatz.files.evolution import Evolution, read_evolution
from ansatz.reporting.evolution import PAIRS
from ansatz.reporting.figures.evolution import snapshot_title
from ansatz.reporting.figures.style import evenly_spaced
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Chart, Picture, Section, Slides, section
from ansatz.reporting.page.pictures import map_of, nfm_of, smaller, tiled

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
        "each epoch; lines run from the first layer (dark) to the last (light). Move the slider to see filters, NFM "
        "and outputs change; each has one scale of colours about zero for all snapshots (blue below, red above).",
    )


def slides(evolution: Evolution, place: str) -> Slides:
    """Return pictures of the snapshots of a training: filters, NFM and outputs of some of its layers."""
    kept = evenly_spaced(len(evolution.curves["epoch"]), SNAPSHOTS)
    labels, names = [snapshot_title(evolution, snapshot) for snapshot in kept], _names(evolution)
    strips: dict[str, list[Picture]] = {}
    for name in [list(evolution.layers)[number] for number in evenly_spaced(len(evolution.layers), LAYERS)]:
        layer = evolution.layers[name]
        drawn = {
            "filters": [smaller(sheet_of(each)) for each in layer.filters[kept]],
            "NFM": [nfm_of(each.reshape(len(each), -1)) for each in layer.filters[kept]],
            "outputs": [smaller(tiled(each)) for each in layer.outputs[kept, :FILTERS]],
        }
        for what, maps in drawn.items():
            finite = np.where(np.isfinite(maps), maps, np.nan)
            largest = float(np.nanmax(np.abs(finite), initial=0))
            strips[f"{names[name]}: {what}"] = [
                map_of(each, largest, f"{what} of {name}, {label}") for each, label in zip(finite, labels, strict=True)
            ]
    shown, all_ = len(kept), len(evolution.curves["epoch"])
    note = f", {shown} of {all_} snapshots" if shown < all_ else ""
    return Slides(labels, strips, place + note)


def sheet_of(filters: np.ndarray) -> np.ndarray:
    """Return filters as one picture: of a convolution, some of them, averaged over channels; else the weights."""
    return tiled(filters[:FILTERS].mean(1)) if filters.ndim == 4 else filters


def _names(evolution: Evolution) -> dict[str, str]:
    """Return what figures call the layers."""
    layers = pd.Series(list(evolution.layers), dtype=object)
    return dict(zip(layers, charts.shortened(layers), strict=True))


def _table(evolution: Evolution, place: str) -> pd.DataFrame:
    names = _names(evolution)
    parts = [
        pd.DataFrame(
            {"run": place, "pair": pair, "layer": names[name], "epoch": evolution.curves["epoch"], "value": values}
        )
        for name, layer in evolution.layers.items()
        for pair, values in layer.correlations.items()
    ]
    return pd.concat(parts, ignore_index=True).dropna()


def _chart(evolution: Evolution) -> alt.Chart:
    shown = {"layer": "layer:N", "epoch": "epoch:Q|.3~g", "correlation": "value:Q|.3f"}
    return (
        charts.chart()
        .mark_line(point=alt.OverlayMarkDef(size=30), strokeWidth=1.5)
        .encode(
            x=alt.X("epoch:Q", axis=charts.whole_numbers()),
            y=alt.Y("value:Q", title="correlation", scale=alt.Scale(zero=False)),
            color=charts.layer_colour(list(_names(evolution).values())),
            tooltip=charts.tooltips(shown),
        )
    )
