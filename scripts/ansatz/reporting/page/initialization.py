"""Sections of the page about the comparison of initializers."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ansatz.registry import LSUV
from ansatz.reporting import initialization
from ansatz.reporting import speed as speeds
from ansatz.reporting import tuning as rates
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.formatting import difference_and_interval, short
from ansatz.reporting.initialization import ALPHA
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Cell, Chart, Control, Section, Table, section
from ansatz.reporting.transfer import MEASURES as TRANSFERRED
from ansatz.reporting.transfer import text

MEASURES = {
    "validation accuracy, percent": "validation_accuracy",
    "training accuracy, percent": "train_accuracy",
    "validation loss": "validation_loss",
    "training loss": "train_loss",
    "gap: validation loss − training loss": "gap",
    "gap, both in evaluation mode": "gap_evaluated",
}  # label -> column of the curves
SPEEDS = {
    "target_epochs": "epochs to target",
    "area": "validation accuracy, mean over epochs, percent",
    "first_accuracy": "validation accuracy after 1 epoch, percent",
}
SIDES = ("within", "below", "above")  # of the axis of a forest plot
SHAPES = ["circle", "triangle-left", "triangle-right"]
MANY = 4  # names, at most, in a sentence
NUMBERS = {"rate": "learning_rate", "validation": "validation_mean", "test": "test_mean", "published": "published"}


@section
def differences(table: pd.DataFrame) -> Section:
    """Make the section that answers the question: a forest plot of the differences, and the table."""
    baseline = table.baseline.iloc[0]
    compared = table[table.initializer != baseline].copy()
    points = 100 * compared[["difference", "difference_low", "difference_high"]]
    low, high = initialization.limits(points)
    compared[["difference", "low", "high"]] = points
    compared["shown"] = compared.difference.clip(low, high)
    compared["beyond"] = np.select([compared.difference < low, compared.difference > high], [*SIDES[1:]], SIDES[0])
    compared["text"] = [difference_and_interval(row) or "diverged" for row in table.loc[compared.index].itertuples()]
    compared["certain"] = compared.p < ALPHA
    compared = with_source(compared)
    style_of = styles(table.initializer.unique())
    blocks: list[Block] = [
        Chart(
            dataset,
            _forest(own, (low, high), style_of, baseline),
            "differences",
            {"dataset": dataset},
            f"Forest plot of {dataset}: " + "; ".join(f"{row.initializer} {row.text}" for row in own.itertuples()),
            height=charts.STEP * len(own) + 60,
        )
        for dataset, own in compared.groupby("dataset", sort=False)
    ]
    return Section(
        "Which initializer is best?",
        [*blocks, _table(table)],
        {
            "differences": compared[
                ["dataset", "initializer", "source", "shown", "beyond", "low", "high", "text", "p", "certain"]
            ]
        },
        answer=verdict(table),
        introduction=(
            f"Best validation accuracy over epochs: mean difference to {baseline} over pairs of runs with the same "
            "seed, in percentage points, and its 95 % interval. Filled points: p < 0.05 in a paired t test, corrected "
            "for all comparisons (Holm). Triangles at an edge stand for differences far beyond it."
        ),
    )


def verdict(table: pd.DataFrame) -> str:
    """Return what the comparison says in a few sentences; `table` as in ``table.csv``."""
    baseline, sentences, alike = table.baseline.iloc[0], [], []
    for dataset, own in table.groupby("dataset", sort=False):
        tested = own[(own.initializer != baseline) & (own.p < ALPHA)]
        better, worse = (list(tested[tested.difference * sign > 0].initializer) for sign in (1, -1))
        parts = [f"{_listed(better)} better than {baseline}"] if better else []
        parts += [f"{_listed(worse)} worse" + ("" if better else f" than {baseline}")] if worse else []
        if parts:
            sentences.append(f"On {dataset}, {' and '.join(parts)}.")
        else:
            alike.append(dataset)
    if alike:
        sentences.append(f"On {_joined(alike)}, no initializer differs significantly from {baseline}.")
    if not table.p.notna().any():
        sentences.append("Without a second seed, nothing can be tested.")
    means = table.dropna(subset="validation_mean")
    best = means.loc[means.groupby("dataset", sort=False).validation_mean.idxmax()]
    highest = [f"{row.initializer} on {row.dataset} ({row.validation_mean:.2%})" for row in best.itertuples()]
    return " ".join([*sentences, f"The highest mean is that of {_joined(highest)}." if highest else ""]).strip()


def _listed(names: list[str]) -> str:
    """Return names as the subject of a sentence, with its verb."""
    if len(names) > MANY:
        return f"{len(names)} initializers ({', '.join(names[:MANY])}, …) are"
    return f"{_joined(names)} {'are' if len(names) > 1 else 'is'}"


def _joined(names: list[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _forest(own: pd.DataFrame, limits: tuple[float, float], style_of: Mapping[str, Any], baseline: str) -> alt.Chart:
    order = list(own.sort_values("difference", ascending=False).initializer)
    x = alt.Scale(domain=limits, nice=False, clamp=True)
    y = alt.Y("initializer:N", sort=order, axis=charts.names_axis())
    colour = charts.colour(style_of)
    base = charts.chart(height=alt.Step(charts.STEP))
    title = f"difference to {baseline}, percentage points"
    shown = charts.tooltips({"initializer": "initializer:N", "difference [95 %]": "text:N", "p (Holm)": "p:Q|.3f"})
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=x, title=title, axis=alt.Axis(tickCount=8)), x2="high:Q", y=y, color=colour
    )
    point = base.mark_point(size=70, strokeWidth=1.8, opacity=1).encode(
        x=alt.X("shown:Q", scale=x, title=title),
        y=y,
        color=colour,
        fill=alt.condition("datum.certain", colour, alt.value("white")),
        shape=alt.Shape("beyond:N", scale=alt.Scale(domain=list(SIDES), range=SHAPES), legend=None),
        tooltip=shown,
    )
    zero = base.mark_rule(color="black").encode(x=alt.datum(0, scale=x))
    return alt.layer(zero, interval, point)


def _table(table: pd.DataFrame) -> Table:
    """Return the table of accuracies, with the best marked."""
    layout = initialization.layout(table, bold="{}")
    marked = table.p_best >= ALPHA
    numbers = {**NUMBERS, "difference": "difference", "p": "p"}
    rows = [
        [
            Cell(row.dataset, row.dataset),
            Cell(row.initializer, row.initializer),
            *(
                Cell(cell, _number(getattr(row, numbers[key], None)), strong=key == "validation" and marked[row.Index])
                for key, cell in cells.items()
            ),
        ]
        for row, cells in zip(table.itertuples(), layout.to_dict("records"), strict=True)
    ]
    shown = initialization.headings(table)
    headings = ["dataset", "initializer", *(shown[key] for key in layout.columns)]
    return Table(headings, rows, filters_of(table), initialization.caption(table))


@section
def curves(tidy: pd.DataFrame) -> Section:
    """Make the section with curves over epochs."""
    tidy = with_source(tidy[tidy.status == "ok"])
    tidy["gap"] = tidy.validation_loss - tidy.train_loss
    tidy["gap_evaluated"] = tidy.validation_loss - tidy.train_eval_loss
    accuracies = [name for name in tidy if name.endswith("_accuracy")]
    tidy[accuracies] *= 100
    rows, note = charts.thinned(tidy, ["dataset", "initializer", "seed"], "epoch")
    style_of = styles(tidy.initializer.unique())
    columns = ["dataset", "initializer", "source", "seed", "epoch", *MEASURES.values()]
    blocks = [
        Chart(
            dataset,
            _curves(style_of),
            "epochs",
            {"dataset": dataset},
            f"Lines over epochs on {dataset}, one for each initializer; the table above has their best values.",
            height=300,
        )
        for dataset in tidy.dataset.unique()
    ]
    return Section(
        "How do they learn?",
        blocks,
        {"epochs": rows[columns]},
        [Control("measure", "Show", MEASURES), Control("seeds", "each seed")],
        "Lines are means over seeds, and bands one standard deviation; nothing is smoothed. Training loss and accuracy "
        f"are running means over the epoch, with dropout. {note}".strip(),
        key="initializer",
    )


def _curves(style_of: Mapping[str, Any]) -> alt.LayerChart:
    measure = alt.param("measure", value=next(iter(MEASURES.values())))
    seeds = alt.param("seeds", value=False)
    base = charts.chart(height=260).transform_calculate(value="datum[measure]").transform_filter("isValid(datum.value)")
    colour, dash = charts.colour(style_of), charts.dash(style_of)
    means = base.transform_aggregate(
        mean="mean(value)", std="stdev(value)", runs="count()", groupby=["initializer", "epoch"]
    ).transform_calculate(low="datum.mean - (datum.std || 0)", high="datum.mean + (datum.std || 0)")
    x = alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d", title="epoch"), scale=alt.Scale(nice=False))
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False))
    band = means.mark_area(opacity=0.12).encode(
        x=x, y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=False)), y2="high:Q", color=colour
    )
    line = means.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour, strokeDash=dash)
    shown = {"initializer": "initializer:N", "epoch": "epoch:Q", "mean": "mean:Q|.4~g", "± std": "std:Q|.2~g"}
    point = means.mark_circle(size=90, opacity=0).encode(
        x=x, y=y, color=colour, tooltip=charts.tooltips(shown | {"runs": "runs:Q"})
    )
    runs = base.transform_filter("seeds")
    thin = runs.mark_line(strokeWidth=0.6, opacity=0.6).encode(
        x=x, y=alt.Y("value:Q", title=None), color=colour, detail="seed:N"
    )
    shown = {"initializer": "initializer:N", "seed": "seed:N", "epoch": "epoch:Q", "value": "value:Q|.5~g"}
    dots = runs.mark_circle(size=25, opacity=0.25).encode(
        x=x, y=alt.Y("value:Q", title=None), color=colour, tooltip=charts.tooltips(shown)
    )
    return alt.layer(band, thin, line, point, dots).add_params(measure, seeds)


@section
def learning_rates(tuning: pd.DataFrame) -> Section:
    """Make the section with accuracies against learning rates."""
    tuning = with_source(tuning)
    keys = ["dataset", "initializer", "source", "learning_rate"]
    means = tuning.groupby(keys, sort=False, as_index=False).agg(
        accuracy=("best_validation_accuracy", lambda values: 100 * values.mean()),
        chosen=("chosen", "any"),
        diverged=("status", lambda states: int((states == "diverged").sum())),
        seeds=("seed", "nunique"),
    )
    style_of = styles(tuning.initializer.unique())
    x = alt.X(
        "learning_rate:Q",
        scale=alt.Scale(type="log"),
        title="learning rate",
        axis=alt.Axis(values=sorted(tuning.learning_rate.unique())),
    )
    y = alt.Y("accuracy:Q", title=None, scale=alt.Scale(zero=False))
    base = charts.chart(height=260)
    line = base.mark_line(strokeWidth=1.5).encode(
        x=x, y=y, color=charts.colour(style_of), strokeDash=charts.dash(style_of)
    )
    fields = {"initializer": "initializer:N", "learning rate": "learning_rate:Q|~g", "accuracy": "accuracy:Q|.2f"}
    fields |= {"seeds": "seeds:Q", "diverged": "diverged:Q"}
    points = base.mark_point(size=60, opacity=1).encode(
        x=x,
        y=y,
        color=charts.colour(style_of),
        fill=alt.condition("datum.chosen", charts.colour(style_of), alt.value("white")),
        tooltip=charts.tooltips(fields),
    )
    edges = "; ".join(rates.warnings_of(tuning))
    return Section(
        "At which learning rate?",
        [
            Chart(dataset, alt.layer(line, points), "rates", {"dataset": dataset}, f"Accuracy, {dataset}", height=300)
            for dataset in means.dataset.unique()
        ],
        {"rates": means},
        introduction="Best validation accuracy in percent, mean over the tuning seeds; filled points are the rates "
        f"that were chosen, each by its initializer's own mean. {edges}".strip(),
        key="initializer",
    )


@section
def speed(speed: pd.DataFrame) -> Section:
    """Make the section on the speed of learning."""
    runs = with_source(speed).copy()
    runs["target_epochs"] = runs.target_epochs.fillna(runs.epochs + 1)  # never
    runs["reached"] = speed.target_epochs.notna()
    runs[["area", "first_accuracy"]] *= 100
    style_of, order = styles(runs.initializer.unique()), list(runs.initializer.unique())
    targets = runs.groupby("dataset", sort=False).target.first()
    blocks = [
        Chart(
            f"{dataset}: {title}" + (f" ({target:.1%})" if measure == "target_epochs" and target == target else ""),
            _strip(measure, style_of, order),
            "speed",
            {"dataset": dataset},
            f"{title} on {dataset}, a point for each run.",
            height=charts.STEP * len(order) + 50,
        )
        for dataset, target in targets.items()
        for measure, title in SPEEDS.items()
    ]
    margin = f"{100 * speeds.MARGIN:g}"
    columns = ["dataset", "initializer", "source", "seed", "reached", *SPEEDS]
    return Section(
        "How fast do they learn?",
        blocks,
        {"speed": runs[columns]},
        introduction=f"The target is the best validation accuracy of {speed.baseline.iloc[0]}, averaged over seeds, "
        f"minus {margin} percentage point; open points never reached it. Points are runs, and bars are means.",
    )


def _strip(measure: str, style_of: Mapping[str, Any], order: list[str]) -> alt.LayerChart:
    """Return a chart of the values of runs, in a row for each initializer."""
    base = charts.chart(height=alt.Step(charts.STEP))
    x = alt.X(f"{measure}:Q", title=None, scale=alt.Scale(zero=False))
    y, colour = alt.Y("initializer:N", sort=order, axis=charts.names_axis()), charts.colour(style_of)
    shown = charts.tooltips({"initializer": "initializer:N", "seed": "seed:N", "value": f"{measure}:Q|.4~g"})
    fill = alt.condition("datum.reached", colour, alt.value("white")) if measure == "target_epochs" else colour
    points = base.mark_point(size=45, opacity=0.9).encode(x=x, y=y, color=colour, fill=fill, tooltip=shown)
    bars = base.mark_tick(thickness=2, size=14).encode(
        x=alt.X(f"mean({measure}):Q", title=None, scale=alt.Scale(zero=False)), y=y, color=colour
    )
    return alt.layer(points, bars)


@section
def activations(activations: pd.DataFrame) -> Section:
    """Make the section on the outputs of layers before training."""
    table = with_source(activations).rename(columns={"std": "deviation"})
    table = table.assign(layer=table.layer.map(short))
    style_of, order = styles(table.initializer.unique()), list(table.layer.unique())
    x = alt.X("layer:O", sort=order, axis=alt.Axis(labelAngle=-90, labelLimit=110), title=None)
    y = alt.Y("deviation:Q", scale=alt.Scale(type="log"), title=None, axis=alt.Axis(format="~g"))
    fields = {"initializer": "initializer:N", "layer": "layer:N", "standard deviation": "deviation:Q|.3~g"}
    base = charts.chart(height=240).transform_filter("datum.deviation > 0").encode(x=x, y=y)
    colour = charts.colour(style_of)
    line = base.mark_line(strokeWidth=1.5).encode(color=colour, strokeDash=charts.dash(style_of))
    points = base.mark_circle(size=40, opacity=1).encode(color=colour, tooltip=charts.tooltips(fields))
    return Section(
        "Which signals do they start from?",
        [
            Chart(
                dataset, alt.layer(line, points), "activations", {"dataset": dataset}, f"Output deviations, {dataset}"
            )
            for dataset in table.dataset.unique()
        ],
        {"activations": table},
        introduction="Standard deviation of the outputs of each layer before training, on a batch of training images, "
        "at the first seed. Where it grows from layer to layer, training diverges unless the learning rate is small.",
        key="initializer",
    )


@section
def transfer(transfer: pd.DataFrame) -> Section:
    """Make the section with a heat map of sources and datasets for each initializer that draws from several sources."""
    parts = []
    for measure, title in TRANSFERRED.items():
        part = transfer.assign(title=title, value=100 * transfer[measure])
        part["text"] = [text(row, measure, "+z.2f") for row in transfer.to_dict("records")]
        parts.append(part[["kind", "source", "dataset", "initializer", "same", "title", "value", "text"]])
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
    x = alt.X("dataset:N", sort=None, title=None, axis=alt.Axis(labelAngle=0, ticks=False, domain=False))
    base = charts.chart(height=alt.Step(30)).encode(x=x, y=alt.Y("source:N", sort=None, axis=charts.names_axis()))
    shown = charts.tooltips({"source": "source:N", "dataset": "dataset:N", "difference [95 %]": "text:N"})
    scale = alt.Scale(scheme=charts.DIVERGING, domain=[-limit, limit], domainMid=0)
    cells = base.mark_rect(stroke="white").encode(color=alt.Color("value:Q", scale=scale, legend=None), tooltip=shown)
    seen = base.mark_rect(fill=None, stroke="black", strokeWidth=1.5).transform_filter("datum.same")
    white = alt.condition(f"abs(datum.value) > {0.6 * limit}", alt.value("white"), alt.value("black"))
    numbers = base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format="+.1f"), color=white)
    return alt.layer(cells, seen, numbers)


def with_source(table: pd.DataFrame) -> pd.DataFrame:
    """Add the source that each initializer draws from, by its label; empty where the label names none."""
    sources = table.initializer.str.partition("@")[2].str.removesuffix(LSUV)
    return table.assign(source=sources)


def filters_of(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return, for each row, what the page can be filtered by."""
    return with_source(table)[["dataset", "initializer", "source"]].to_dict("records")


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
