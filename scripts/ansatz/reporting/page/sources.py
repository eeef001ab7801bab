"""Sections of the page about sources: whether their features transfer, what they hold, and chains of them."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from ansatz.reporting.figures.palette import styles
from ansatz.reporting.figures.sources import KINDS, SMALLEST
from ansatz.reporting.generations import MEASURES
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Chart, Section, section
from ansatz.reporting.transfer import MEASURES as TRANSFERRED
from ansatz.reporting.transfer import text

INDICES = 40  # eigenvalues of a spectrum, at most, evenly spaced on a logarithmic axis


@section
def transfer(transfer: pd.DataFrame) -> Section:
    """Make the section with a heat map of sources and datasets for each initializer that draws from several sources."""
    parts = []
    for measure, title in TRANSFERRED.items():
        part = transfer.assign(title=title, value=100 * transfer[measure])
        part["text"] = [text(row, measure) for row in transfer.to_dict("records")]
        part["number"] = part.value.map("{:+z.1f}".format).str.replace("-", "−")  # and no −0.0
        parts.append(part[["kind", "source", "dataset", "initializer", "same", "title", "value", "number", "text"]])
    table = pd.concat(parts, ignore_index=True)
    blocks = [
        Chart(
            f"{kind}: {title}",
            _heat_map(own.value),
            "transfer",
            {"kind": kind, "title": title},
            f"{kind}, {title}: " + "; ".join(f"{row.source} to {row.dataset} {row.text}" for row in own.itertuples()),
            height=30 * own.source.nunique() + 90,
        )
        for (kind, title), own in table.groupby(["kind", "title"], sort=False)
    ]
    return Section(
        "Do features transfer?",
        blocks,
        {"transfer": table},
        introduction=f"Mean paired difference to {transfer.baseline.iloc[0]} in percentage points, by source (rows) "
        "and dataset (columns); blue is better. The interval appears under the pointer. Frames are around the datasets "
        "that a source has seen.",
    )


def _heat_map(values: pd.Series) -> alt.LayerChart:
    limit = max(float(np.nanmax(np.abs(values))), 1e-6) if values.notna().any() else 1.0
    x = alt.X("dataset:N", sort=None, title=None, axis=charts.slanted_names())
    base = charts.chart(height=alt.Step(30)).encode(x=x, y=alt.Y("source:N", sort=None, axis=charts.names_axis()))
    shown = charts.tooltips({"source": "source:N", "dataset": "dataset:N", "difference [95 %]": "text:N"})
    scale = alt.Scale(scheme=charts.DIVERGING, domain=[-limit, limit], domainMid=0)
    cells = base.mark_rect(stroke="white").encode(color=alt.Color("value:Q", scale=scale, legend=None), tooltip=shown)
    seen = base.mark_rect(fill=None, stroke="black", strokeWidth=1.5).transform_filter("datum.same")
    white = alt.condition(f"abs(datum.value) > {0.6 * limit}", alt.value("white"), alt.value("black"))
    numbers = base.transform_filter("isValid(datum.value)").mark_text(fontSize=11).encode(text="number:N", color=white)
    return alt.layer(cells, seen, numbers)


@section
def spectra(spectra: pd.DataFrame) -> Section:
    """Make the section with the spectra of the sources' feature matrices."""
    table = spectra[spectra.eigenvalue >= SMALLEST]
    last = int(table["index"].max())
    kept = np.unique(np.geomspace(1, last, min(INDICES, last)).round().astype(int))
    rows = table[table["index"].isin(kept)].assign(layer=charts.shortened(table.layer))
    note = f" Of {last} eigenvalues, {len(kept)} are drawn." if len(kept) < last else ""
    order = list(rows.layer.unique())
    x = alt.X("index:Q", scale=alt.Scale(type="log"), title="number of the eigenvalue", axis=alt.Axis(format="~s"))
    y = alt.Y("eigenvalue:Q", scale=alt.Scale(type="log"), title="share of the trace", axis=alt.Axis(format="~g"))
    shown = {"layer": "layer:N", "patch": "shape:N", "number": "index:Q", "share": "eigenvalue:Q|.3~g"}
    base = charts.chart(height=260).encode(x=x, y=y, color=charts.layer_colour(order))
    points = base.mark_circle(size=50, opacity=0).encode(
        tooltip=charts.tooltips(shown | {"effective rank": "effective_rank:Q|.1f"})
    )
    blocks = [
        Chart(
            f"{source}: {KINDS[kind]}",
            alt.layer(base.mark_line(strokeWidth=1.5), points),
            "spectra",
            {"source": source, "kind": kind},
            f"Spectra of the {KINDS[kind]} of {source}, a line for each layer. Effective ranks: "
            + ", ".join(f"{row.layer} {row.effective_rank:.1f}" for row in own.drop_duplicates("layer").itertuples()),
            height=330,
        )
        for (source, kind), own in rows.groupby(["source", "kind"], sort=False)
        if kind in KINDS
    ]
    return Section(
        "What do the sources hold?",
        blocks,
        {"spectra": rows},
        introduction="Eigenvalues of the feature matrices of each layer, as shares of their trace; both axes are "
        f"logarithmic. Colours run from the first layer (dark) to the last (light). Shares below {SMALLEST:g} are not "
        f"drawn.{note} The pointer shows the effective rank, exp(entropy of the shares).",
    )


@section
def similarity(alignment: pd.DataFrame) -> Section:
    """Make the section with the correlations between the feature matrices of several sources."""
    means = alignment.groupby(["kind", "source", "other"], sort=False, as_index=False).correlation.mean()
    scale = alt.Scale(scheme=charts.DIVERGING, domain=[-1, 1])
    base = charts.chart(height=alt.Step(26)).encode(
        x=alt.X("other:N", sort=None, title=None, axis=charts.slanted_names()),
        y=alt.Y("source:N", sort=None, axis=charts.names_axis()),
    )
    shown = {"source": "source:N", "other": "other:N", "correlation": "correlation:Q|.3f"}
    cells = base.mark_rect(stroke="white").encode(
        color=alt.Color("correlation:Q", scale=scale, legend=None), tooltip=charts.tooltips(shown)
    )
    numbers = base.mark_text(fontSize=10).encode(
        text=alt.Text("correlation:Q", format=".2f"),
        color=alt.condition("abs(datum.correlation) > 0.7", alt.value("white"), alt.value("black")),
    )
    return Section(
        "How alike are the sources?",
        [
            Chart(
                KINDS.get(kind, kind),
                alt.layer(cells, numbers),
                "similarity",
                {"kind": kind},
                f"Correlations of the {KINDS.get(kind, kind)} of sources",
                height=26 * own.source.nunique() + 100,
            )
            for kind, own in means.groupby("kind", sort=False)
        ],
        {"similarity": means},
        introduction="Pearson correlation of the feature matrices of two sources, averaged over layers.",
    )


@section
def chains(generations: Sequence[pd.DataFrame]) -> Section:
    """Make the section on chains of sources, each of which starts from the features of the one before."""
    learned, features = generations
    learned = learned.copy()
    learned[["difference", "low", "high"]] *= 100
    learned["title"] = learned.measure.map(MEASURES)
    style_of = styles(learned.kind.unique())
    x = alt.X("generation:Q", axis=charts.whole_numbers(), title="generation", scale=alt.Scale(zero=False, padding=12))
    base = charts.chart()
    colour, dash = charts.colour(style_of, "kind"), charts.dash(style_of, "kind")
    if len(style_of) > 1:  # else there is nothing to tell apart
        colour, dash = charts.keyed(colour, dash)
    axis = alt.Y("difference:Q", title="difference, percentage points")
    zero = base.mark_rule(color="black").encode(y=alt.datum(0))
    interval = base.mark_rule(strokeWidth=1.5).encode(
        x=x, y=alt.Y("low:Q", title="difference, percentage points"), y2="high:Q", color=colour
    )
    line = base.mark_line().encode(x=x, y=axis, color=colour, strokeDash=dash)
    fields = {"initializer": "initializer:N", "generation": "generation:Q", "difference": "difference:Q|+.2f"}
    fields |= {"low": "low:Q|+.2f", "high": "high:Q|+.2f", "seeds": "seeds:Q"}
    points = base.mark_circle(size=60, opacity=1).encode(x=x, y=axis, color=colour, tooltip=charts.tooltips(fields))
    blocks = [
        Chart(
            f"{dataset}, chain {chain}: {title}",
            alt.layer(zero, interval, line, points),
            "learned",
            {"chain": chain, "dataset": dataset, "title": title},
            f"Difference to {own.baseline.iloc[0]} by generation, {title}",
        )
        for (chain, dataset, title), own in learned.groupby(["chain", "dataset", "title"], sort=False)
    ]
    features = features.assign(layer=charts.shortened(features.layer))
    ranks = (
        charts.chart()
        .mark_line(point=True)
        .encode(
            x=x,
            y=alt.Y("effective_rank:Q", title="effective rank"),
            color=charts.layer_colour(features.layer.unique()),
            tooltip=charts.tooltips(
                {"layer": "layer:N", "source": "source:N", "effective rank": "effective_rank:Q|.1f"}
            ),
        )
    )
    blocks += [
        Chart(
            f"chain {chain}: effective rank of the NFM", ranks, "ranks", {"chain": chain}, "Effective ranks", height=300
        )
        for chain in features.chain.unique()
    ]
    return Section(
        "What does repeating it do?",
        blocks,
        {"learned": learned, "ranks": features},
        introduction="Each source starts from the features of the one before. Above, what is learned from each "
        f"generation, as mean paired differences to {learned.baseline.iloc[0]} with 95 % intervals; below, how the "
        "features change.",
    )
