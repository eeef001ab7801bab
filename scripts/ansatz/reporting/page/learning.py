"""Sections of the page about how initializers learn: curves, learning rates, speed, and what they start from."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from ansatz.files.tables import RUN
from ansatz.reporting import speed as speeds
from ansatz.reporting import tuning as rates
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Chart, Control, Section, Text, section
from ansatz.reporting.page.initialization import with_source

MEASURES = {
    "validation_accuracy": "validation accuracy, percent",
    "train_accuracy": "training accuracy, percent",
    "validation_loss": "validation loss",
    "train_loss": "training loss",
    "gap": "gap: validation loss − training loss",
    "gap_evaluated": "gap, both in evaluation mode",
}  # columns of the curves -> what they are called, in the data of the chart too, so that its title can say so
BANDS = 8  # lines, at most, of a chart that has bands
SPEEDS = {
    "target_epochs": ("epochs to target", "epochs"),
    "area": ("mean over epochs", "validation accuracy, percent"),
    "first_accuracy": ("after 1 epoch", "validation accuracy, percent"),
}  # columns of speed.csv -> title of the chart and of its axis
CROSS = "M-1,-1L1,1M-1,1L1,-1"


@section
def curves(tidy: pd.DataFrame) -> Section:
    """Make the section with curves over epochs."""
    finished = with_source(tidy[tidy.status == "ok"])
    finished["gap"] = finished.validation_loss - finished.train_loss
    finished["gap_evaluated"] = finished.validation_loss - finished.train_eval_loss
    finished[["train_accuracy", "validation_accuracy", "chance"]] *= 100
    rows, note = charts.thinned(finished, RUN, "epoch")
    lengths = finished.groupby(list(RUN)).epoch.max().groupby("dataset").nunique()
    if len(finished) < len(tidy) or (lengths > 1).any():
        note = f"{note} Runs that diverged or stopped early count only until then; the pointer shows how many are left."
    style_of = styles(finished.initializer.unique())
    columns = ["dataset", "initializer", "source", "seed", "epoch", "chance", *MEASURES]
    blocks = [
        Chart(
            dataset,
            _curves(style_of),
            "epochs",
            {"dataset": dataset},
            f"Lines over epochs on {dataset}, one for each initializer; the table above has their best values.",
            height=300,
        )
        for dataset in finished.dataset.unique()
    ]
    return Section(
        "How do they learn?",
        blocks,
        {"epochs": rows[columns].rename(columns=MEASURES)},
        [Control("measure", "Show", {label: label for label in MEASURES.values()}), Control("seeds", "each seed")],
        introduction=f"Lines are means over seeds; bands, of at most {BANDS} lines, are one standard deviation; "
        "nothing is smoothed. Training loss and accuracy are running means over the epoch, with dropout. The dotted "
        "line is the accuracy of guessing the commonest class, where the axis reaches it. " + note.strip(),
        key="initializer",
    )


def _curves(style_of: Mapping[str, Any]) -> alt.LayerChart:
    measure = alt.param("measure", value=next(iter(MEASURES.values())))
    seeds = alt.param("seeds", value=False)
    colour, dash = charts.colour(style_of), charts.dash(style_of)
    axis = {"title": None, "scale": alt.Scale(zero=False)}
    base = (
        charts.chart(height=260)
        .transform_calculate(value="datum[measure]")
        .transform_filter("isValid(datum.value)")
        .encode(x=alt.X("epoch:Q", axis=charts.whole_numbers(), title="epoch"), color=colour)
    )
    means = base.transform_aggregate(
        mean="mean(value)", std="stdev(value)", runs="count()", groupby=["initializer", "epoch"]
    )
    band = (
        means.transform_joinaggregate(lines="distinct(initializer)")
        .transform_filter(f"datum.lines <= {BANDS}")
        .transform_calculate(low="datum.mean - (datum.std || 0)", high="datum.mean + (datum.std || 0)")
        .mark_area(opacity=0.12)
        .encode(y=alt.Y("low:Q", **axis), y2="high:Q")
    )
    y = alt.Y("mean:Q", **axis)
    line = means.mark_line(strokeWidth=1.8).encode(y=y, strokeDash=dash)
    shown = {"initializer": "initializer:N", "epoch": "epoch:Q", "mean": "mean:Q|.4~g", "± std": "std:Q|.2~g"}
    shown |= {"runs": "runs:Q"}
    point = means.mark_circle(size=90, opacity=0).encode(y=y, tooltip=charts.tooltips(shown))
    alone = means.transform_joinaggregate(epochs="count()", groupby=["initializer"]).transform_filter(
        "datum.epochs == 1"
    )  # a line of one epoch is not seen
    alone = alone.mark_circle(size=50, opacity=1).encode(y=y)
    runs = base.transform_filter("seeds")
    y = alt.Y("value:Q", **axis)
    thin = runs.mark_line(strokeWidth=0.6, opacity=0.6).encode(y=y, detail="seed:N")
    shown = {"initializer": "initializer:N", "seed": "seed:N", "epoch": "epoch:Q", "value": "value:Q|.5~g"}
    dots = runs.mark_circle(size=25, opacity=0.25).encode(y=y, tooltip=charts.tooltips(shown))
    chance = (
        charts.chart(height=260)
        .transform_filter("indexof(measure, 'accuracy') >= 0")
        .transform_calculate(value="datum[measure]")
        .transform_aggregate(chance="mean(chance)", lowest="min(value)")
        .transform_filter("datum.lowest <= datum.chance")
        .mark_rule(strokeDash=[2, 3], color="grey", strokeWidth=1.5)
        .encode(y=alt.Y("chance:Q", **axis), tooltip=charts.tooltips({"commonest class": "chance:Q|.4~g"}))
    )
    title = alt.TitleParams(text=alt.expr("measure"), anchor="start", fontSize=11, fontWeight="normal", offset=6)
    return alt.layer(band, chance, thin, line, alone, point, dots, title=title).add_params(measure, seeds)


@section
def learning_rates(tuning: pd.DataFrame) -> Section:
    """Make the section with accuracies against learning rates."""
    tuning = with_source(tuning)
    means = tuning.groupby(["dataset", "initializer", "source", "learning_rate"], sort=False, as_index=False).agg(
        accuracy=("best_validation_accuracy", lambda values: 100 * values.mean()),
        chosen=("chosen", "any"),
        diverged=("status", lambda states: int((states == "diverged").sum())),
        seeds=("seed", "nunique"),
    )
    style_of, tried = styles(tuning.initializer.unique()), sorted(tuning.learning_rate.unique())
    blocks: list[Block] = [
        Chart(
            dataset,
            _rates(style_of, tried),
            "rates",
            {"dataset": dataset},
            f"Best validation accuracy by learning rate on {dataset}, a line for each initializer",
            height=300,
        )
        for dataset in means.dataset.unique()
    ]
    if warnings := rates.warnings_of(tuning):
        blocks.append(Text("Where a better learning rate may lie beyond those tried", "\n".join(warnings)))
    return Section(
        "At which learning rate?",
        blocks,
        {"rates": means},
        introduction="Best validation accuracy, mean over the tuning seeds that did not diverge. Filled points are the "
        "rates that were chosen, each by its initializer's own mean; crosses at the bottom are rates at which a seed "
        "diverged.",
        key="initializer",
    )


def _rates(style_of: Mapping[str, Any], tried: list[float]) -> alt.LayerChart:
    colour, height = charts.colour(style_of), 260
    x = alt.X("learning_rate:Q", scale=alt.Scale(type="log"), title="learning rate", axis=alt.Axis(values=tried))
    y = alt.Y("accuracy:Q", title="validation accuracy, percent", scale=alt.Scale(zero=False))
    base = charts.chart(height=height).encode(x=x, color=colour)
    shown = {"initializer": "initializer:N", "learning rate": "learning_rate:Q|~g", "accuracy": "accuracy:Q|.2f"}
    tooltip = charts.tooltips(shown | {"seeds": "seeds:Q", "diverged": "diverged:Q"})
    line = base.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=charts.dash(style_of))
    fill = alt.condition("datum.chosen", colour, alt.value("white"))
    points = base.mark_point(size=60, opacity=1).encode(y=y, fill=fill, tooltip=tooltip)
    crosses = base.transform_filter("datum.diverged > 0").mark_point(shape=CROSS, size=25, opacity=1)
    return alt.layer(line, points, crosses.encode(y=alt.value(height - 6), tooltip=tooltip))


@section
def speed(speed: pd.DataFrame) -> Section:
    """Make the section on the speed of learning."""
    longest = speed.groupby("dataset", sort=False).epochs.max()
    runs = with_source(speed).assign(reached=speed.target_epochs.notna())
    runs["target_epochs"] = runs.target_epochs.fillna(runs.dataset.map(longest + longest.map(_step)))
    runs["text"] = runs.target_epochs.map("{:.0f}".format).where(runs.reached, "never")
    runs[["area", "first_accuracy"]] *= 100
    style_of, order = styles(runs.initializer.unique()), list(runs.initializer.unique())
    blocks = []
    for dataset, target in speed.groupby("dataset", sort=False).target.first().items():
        for measure, (title, axis) in SPEEDS.items():
            is_target = measure == "target_epochs"
            blocks.append(
                Chart(
                    f"{dataset}: {title}" + (f", {100 * target:.1f} %" if is_target and target == target else ""),
                    _epochs(style_of, order, int(longest[dataset])) if is_target else _strip(measure, style_of, order),
                    "speed",
                    {"dataset": dataset},
                    f"{axis}, {title}, on {dataset}: a point for each run",
                    height=charts.STEP * len(order) + 50,
                )
            )
    return Section(
        "How fast do they learn?",
        blocks,
        {"speed": runs[["dataset", "initializer", "source", "seed", "reached", "text", *SPEEDS]]},
        introduction=f"The target is the best validation accuracy of {speed.baseline.iloc[0]}, averaged over seeds, "
        f"minus {100 * speeds.MARGIN:g} percentage point. Points are runs. Bars are medians (epochs to target; none if "
        "half of the runs or more never reached it) and means (accuracies, of the runs that did not diverge).",
    )


def _epochs(style_of: Mapping[str, Any], order: list[str], last: int) -> alt.LayerChart:
    """Return a chart of the epochs until runs reached the target, with a place for those that never did."""
    step = _step(last)
    axis = alt.Axis(
        values=[*range(step, last + 1, step), last + step],
        labelExpr=f"datum.value > {last} ? 'never' : datum.label",
        labelOverlap=False,
        format="d",
    )
    x = {"title": "epochs", "scale": alt.Scale(domain=[0, last + step], nice=False), "axis": axis}
    base = _rows(style_of, order)
    shown = {"initializer": "initializer:N", "seed": "seed:N", "epochs to target": "text:N"}
    fill = alt.condition("datum.reached", charts.colour(style_of), alt.value("white"))
    points = base.mark_point(size=45, opacity=0.9).encode(
        x=alt.X("target_epochs:Q", **x), fill=fill, tooltip=charts.tooltips(shown)
    )
    medians = base.transform_aggregate(
        middle="median(target_epochs)", share="mean(reached)", groupby=["initializer"]
    ).transform_filter("datum.share > 0.5")
    return alt.layer(points, medians.mark_tick(thickness=2, size=14).encode(x=alt.X("middle:Q", **x)))


def _step(last: int) -> int:
    """Return how far apart the labels of epochs are, and how far behind the last one "never" is."""
    return -(-last // 4)


def _strip(measure: str, style_of: Mapping[str, Any], order: list[str]) -> alt.LayerChart:
    """Return a chart of the accuracies of runs, with their means."""
    x = {"title": SPEEDS[measure][1], "scale": alt.Scale(zero=False)}
    base = _rows(style_of, order)
    shown = {"initializer": "initializer:N", "seed": "seed:N", "accuracy": f"{measure}:Q|.2f"}
    points = base.mark_point(size=45, opacity=0.9, filled=True).encode(
        x=alt.X(f"{measure}:Q", **x), tooltip=charts.tooltips(shown)
    )
    return alt.layer(points, base.mark_tick(thickness=2, size=14).encode(x=alt.X(f"mean({measure}):Q", **x)))


def _rows(style_of: Mapping[str, Any], order: list[str]) -> alt.Chart:
    """Return a chart with a row for each initializer."""
    y = alt.Y("initializer:N", sort=order, axis=charts.names_axis())
    return charts.chart(height=alt.Step(charts.STEP)).encode(y=y, color=charts.colour(style_of))


@section
def activations(activations: pd.DataFrame) -> Section:
    """Make the section on the outputs of layers before training."""
    table = with_source(activations).rename(columns={"std": "deviation"})
    table = table.assign(layer=charts.shortened(table.layer))
    style_of, order = styles(table.initializer.unique()), list(table.layer.unique())
    x = alt.X("layer:O", sort=order, axis=alt.Axis(labelAngle=-90, labelLimit=110), title=None)
    y = alt.Y("deviation:Q", scale=alt.Scale(type="log"), title="standard deviation", axis=alt.Axis(format="~g"))
    fields = {"initializer": "initializer:N", "layer": "layer:N", "standard deviation": "deviation:Q|.3~g"}
    colour = charts.colour(style_of)
    base = charts.chart(height=240).transform_filter("datum.deviation > 0").encode(x=x, y=y, color=colour)
    line = base.mark_line(strokeWidth=1.5).encode(strokeDash=charts.dash(style_of))
    points = base.mark_circle(size=25, opacity=1).encode(tooltip=charts.tooltips(fields))
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
