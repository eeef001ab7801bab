"""The section of the page about how NFM and AGOP align."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ansatz.files.tables import POWERS
from ansatz.reporting.alignment import POWER, by_head, by_layer, by_variant
from ansatz.reporting.figures.alignment import LABELS, network_title, shown_pairs
from ansatz.reporting.formatting import mean_and_spread, or_dash
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Cell, Chart, Section, Table, section
from ansatz.reporting.page.pictures import picture

CROWDED = 20  # layers, at most, of a chart that is not as wide as the page
TICKS = [0.125, 0.25, 0.5, 1, 2]  # of the powers
NETWORK = ["experiment", "variant", "dataset"]


@section
def layers(correlations: pd.DataFrame, ansatz_pictures: Sequence[str] = ()) -> Section:
    """Make the section on the ansatz: correlations by layer with their controls, powers and heads, and pictures."""
    pair_styles = shown_pairs(correlations)
    by_pair = {LABELS[pair]: style for pair, style in pair_styles.items()}
    means = by_layer(correlations)
    networks = means[NETWORK].drop_duplicates().to_dict("records")
    rows = means.melt([*NETWORK, "layer", "shape", "seeds"], [f"correlation_{pair}" for pair in pair_styles], "pair")
    rows = rows.dropna(subset="value").assign(
        pair=rows.pair.str.removeprefix("correlation_").map(LABELS), name=rows.layer, layer=charts.shortened(rows.layer)
    )
    blocks: list[Block] = [
        Chart(
            _title(network),
            _correlations(list(own.layer.unique()), by_pair),
            "layers",
            network,
            f"Correlation of NFM and AGOP in the {own.layer.nunique()} layers of {_title(network)}, with controls",
            height=330,
            wide=own.layer.nunique() > CROWDED,
        )
        for network in networks
        if len(own := rows[(rows[NETWORK] == list(network.values())).all(axis=1)])
    ]
    blocks += [
        Chart(
            f"{_title(network)}: powers of AGOP",
            _powers(list(rows[(rows[NETWORK] == list(network.values())).all(axis=1)].layer.unique())),
            "powers",
            network,
            f"Correlation of the NFM with powers of AGOP in {_title(network)}, a line for each layer",
            height=320,
        )
        for network in networks
    ]
    heads = by_head(correlations)
    heads = heads.rename(columns={"correlation_nfm_agop": "own", "correlation_nfm_shuffled_agop": "next"})
    blocks += [
        Chart(
            f"{_title(network)}: {kind}",
            _heads(),
            "heads",
            {**network, "kind": kind},
            f"Correlation of NFM and AGOP in the heads of {kind}",
            height=24 * own.block.nunique() + 60,
        )
        for (experiment, variant, dataset, kind), own in heads.groupby([*NETWORK, "kind"], sort=False)
        for network in [dict(zip(NETWORK, (experiment, variant, dataset), strict=True))]
    ]
    powers = means_of_powers(correlations)
    return Section(
        "Do NFM and AGOP align?",
        [*blocks, _table(correlations), *(picture(path, "ansatz") for path in ansatz_pictures)],
        {"layers": rows, "powers": powers, "heads": heads[[*NETWORK, "layer", "head", "block", "kind", "own", "next"]]},
        introduction="Pearson correlation of the entries of two feature matrices, by layer, mean over seeds. Controls "
        "are the NFM before training, the ansatz before training, and NFM – √NFM, which NFM – √AGOP would be if "
        "gradients were isotropic. Where layers are coloured, they run from the first (dark) to the last (light).",
    )


def means_of_powers(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return the correlations of NFM with powers of AGOP by layer: one row for each layer and power."""
    columns = {f"{POWER}{power}": power for power in POWERS}
    whole = correlations[correlations["head"].isna()]
    means = whole.groupby([*NETWORK, "layer"], sort=False)[list(columns)].mean().rename(columns=columns)
    rows = means.reset_index().melt([*NETWORK, "layer"], list(columns.values()), "power").dropna(subset="value")
    return rows.assign(layer=charts.shortened(rows.layer))


def _title(network: dict[str, str]) -> str:
    return f"{network_title(network['experiment'], network['variant'])}, {network['dataset']}"


def _correlations(order: list[str], styles: dict) -> alt.LayerChart:
    x = alt.X("layer:O", sort=order, title=None, axis=alt.Axis(labelAngle=-90, labelLimit=120, labelOverlap=True))
    y = alt.Y("value:Q", title="correlation")
    colour, dash = charts.keyed(charts.colour(styles, "pair"), charts.dash(styles, "pair"))
    base = charts.chart().encode(x=x, y=y, color=colour)
    shown = {"layer": "name:N", "patch": "shape:N", "pair": "pair:N", "correlation": "value:Q|.3f", "seeds": "seeds:Q"}
    line = base.mark_line(strokeWidth=1.6, opacity=0.4 if len(order) > CROWDED else 1).encode(strokeDash=dash)
    return alt.layer(line, base.mark_circle(size=40, opacity=1).encode(tooltip=charts.tooltips(shown)))


def _powers(order: list[str]) -> alt.Chart:
    x = alt.X("power:Q", scale=alt.Scale(type="log", nice=False), title="α", axis=alt.Axis(values=TICKS))
    shown = {"layer": "layer:N", "α": "power:Q", "correlation": "value:Q|.3f"}
    return (
        charts.chart()
        .mark_line(point=alt.OverlayMarkDef(size=25), strokeWidth=1.3)
        .encode(x=x, color=charts.layer_colour(order))
        .encode(y=alt.Y("value:Q", title="correlation with AGOP^α"), tooltip=charts.tooltips(shown))
    )


def _heads() -> alt.Chart:
    shown = {"layer": "layer:N", "head": "head:O", "NFM – AGOP": "own:Q|.3f", "with the next head": "next:Q|.3f"}
    return (
        charts.chart(height=alt.Step(24))
        .mark_rect(stroke="white")
        .encode(
            x=alt.X("head:O", title="head", axis=alt.Axis(labelAngle=0, format="d")),
            y=alt.Y("block:O", title="block", axis=alt.Axis(format="d")),
            color=alt.Color("own:Q", scale=alt.Scale(scheme="viridis", domain=[0, 1], clamp=True), title="correlation"),
            tooltip=charts.tooltips(shown),
        )
    )


def _table(correlations: pd.DataFrame) -> Table:
    """Return the table of networks."""
    variants = by_variant(correlations)
    pairs = list(shown_pairs(correlations))
    rows = [
        [
            Cell(network_title(row["experiment"], row["variant"]), row["variant"]),
            Cell(f"{row['networks']}", row["networks"]),
            Cell(_percent(row["validation_accuracy"]), row["validation_accuracy"]),
            *(Cell(_cell(row, pair), row[f"correlation_{pair}"]) for pair in pairs),
        ]
        for row in variants.to_dict("records")
    ]
    headings = ["network", "number", "validation accuracy", *(LABELS[pair] for pair in pairs)]
    filters = [{"variant": row.variant} for row in variants.itertuples()]
    return Table(headings, rows, filters, "Correlations: mean ± standard deviation over layers, datasets and seeds.")


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{100 * share:.2f} %"


def _cell(row: dict, pair: str) -> str:
    mean, spread = row[f"correlation_{pair}"], row[f"correlation_{pair}_std"]
    return or_dash(mean_and_spread(mean, spread, ".3f"))
