"""The section of the page that compares initializers by the accuracy they reach."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ansatz.registry import LSUV
from ansatz.reporting import initialization
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.formatting import difference_and_interval
from ansatz.reporting.initialization import ALPHA
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Cell, Chart, Section, Table, section

SIDES = ("within", "below", "above")  # of the axis of a forest plot
SHAPES = ["circle", "triangle-left", "triangle-right"]
MANY = 4  # names, at most, in a sentence
NUMBERS = {"rate": "learning_rate", "validation": "validation_mean", "test": "test_mean"}  # cells -> what they sort by


@section
def differences(table: pd.DataFrame) -> Section:
    """Make the section that answers the question: a forest plot of the differences, and the table."""
    baseline = table.baseline.iloc[0]
    compared = with_source(table[table.initializer != baseline])
    compared["text"] = [
        difference_and_interval(row) or ("diverged" if row.diverged == row.seeds else "no pair of seeds")
        for row in compared.itertuples()
    ]
    points = 100 * compared[["difference", "difference_low", "difference_high"]]
    low, high = initialization.limits(points)
    compared[["difference", "low", "high"]] = points
    compared["shown"] = compared.difference.clip(low, high)
    compared["beyond"] = np.select([compared.difference < low, compared.difference > high], [*SIDES[1:]], SIDES[0])
    compared["certain"] = compared.p < ALPHA
    cut = (points.min(axis=None) < low) or (points.max(axis=None) > high)
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
            "for all comparisons (Holm)."
            + (" The axis ends before the farthest: triangles stand for differences beyond it." if cut else "")
        ),
    )


def verdict(table: pd.DataFrame) -> str:
    """Return what the comparison says in a few sentences; `table` as in ``table.csv``."""
    datasets: dict[str, list[str]] = {}  # of each finding
    for dataset, own in table.groupby("dataset", sort=False):
        for finding in _findings(own):
            datasets.setdefault(finding, []).append(dataset)
    sentences = [f"On {_joined(names)}, {finding}." for finding, names in datasets.items()]
    return " ".join([*sentences, _highest(table)]).strip()


def _findings(own: pd.DataFrame) -> list[str]:
    """Return what the comparison says about a dataset."""
    baseline = own.baseline.iloc[0]
    compared, diverged = own[own.initializer != baseline], list(own[own.diverged == own.seeds].initializer)
    if len(diverged) == len(own):
        return ["all runs diverged"]
    if compared.empty:
        return []
    tested = compared[compared.p < ALPHA]
    better, worse = (list(tested[tested.difference * sign > 0].initializer) for sign in (1, -1))
    if better:
        finding = f"{_listed(better)} {_are(better)} significantly better than {baseline}"
    elif worse:
        finding = f"no initializer is significantly better than {baseline}"
    elif compared.p.notna().any():
        finding = f"no initializer differs significantly from {baseline}"
    else:
        finding = "nothing can be tested without two pairs of runs that finished"
    finding += f", and {_listed(worse)} {_are(worse)} worse" if worse else ""
    return [finding, *([f"{_listed(diverged)} diverged at every seed"] if diverged else [])]


def _highest(table: pd.DataFrame) -> str:
    """Return a sentence on the best mean of each dataset; empty if there is nothing to compare."""
    means = table.dropna(subset="validation_mean")
    if means.initializer.nunique() < 2:
        return ""
    best = means.loc[means.groupby("dataset", sort=False).validation_mean.idxmax()]
    several = table.dataset.nunique() > 1
    highest = [
        row.initializer + (f" on {row.dataset}" if several else "") + f" ({100 * row.validation_mean:.2f} %)"
        for row in best.itertuples()
    ]
    return f"The highest mean is that of {_joined(highest)}."


def _listed(names: Sequence[str]) -> str:
    """Return names as part of a sentence, not more than a few of them."""
    if len(names) > MANY:
        return f"{len(names)} initializers ({', '.join(names[:MANY])}, …)"
    return _joined(names)


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _joined(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _forest(own: pd.DataFrame, limits: tuple[float, float], style_of: Mapping[str, Any], baseline: str) -> alt.Chart:
    order = list(own.sort_values("difference", ascending=False).initializer)
    title = [f"difference to {baseline},", "percentage points"]
    scale = alt.Scale(domain=limits, nice=False, clamp=True)
    x = {"scale": scale, "title": title, "axis": alt.Axis(tickCount=5)}
    colour = charts.colour(style_of)
    base = charts.chart(height=alt.Step(charts.STEP)).encode(
        y=alt.Y("initializer:N", sort=order, axis=charts.names_axis())
    )
    shown = {"initializer": "initializer:N", "difference [95 %]": "text:N", "p (Holm)": "p:Q|.3f"}
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", **x), x2="high:Q", color=colour)
    point = base.mark_point(size=70, strokeWidth=1.8, opacity=1).encode(
        x=alt.X("shown:Q", **x),
        color=colour,
        fill=alt.condition("datum.certain", colour, alt.value("white")),
        shape=alt.Shape("beyond:N", scale=alt.Scale(domain=list(SIDES), range=SHAPES), legend=None),
        tooltip=charts.tooltips(shown),
    )
    missing = base.transform_filter("!isValid(datum.shown)").mark_text(align="left", fontSize=10)
    zero = charts.chart(height=alt.Step(charts.STEP)).mark_rule(color="black").encode(x=alt.datum(0, scale=scale))
    return alt.layer(zero, interval, point, missing.encode(x=alt.value(4), text="text:N"))


def _table(table: pd.DataFrame) -> Table:
    """Return the table of accuracies, with the best marked."""
    layout = initialization.layout(table, bold="{}")
    marked = table.p_best >= ALPHA
    rows = [
        [
            Cell(row.dataset, row.dataset),
            Cell(row.initializer, row.initializer),
            *(
                Cell(cell, getattr(row, NUMBERS.get(key, key)), strong=key == "validation" and marked[row.Index])
                for key, cell in cells.items()
            ),
        ]
        for row, cells in zip(table.itertuples(), layout.to_dict("records"), strict=True)
    ]
    shown = initialization.headings(table)
    headings = ["dataset", "initializer", *(shown[key] for key in layout.columns)]
    return Table(headings, rows, filters_of(table), initialization.caption(table))


def with_source(table: pd.DataFrame) -> pd.DataFrame:
    """Add the source that each initializer draws from, by its label; empty where the label names none."""
    return table.assign(source=[label.partition("@")[2].removesuffix(LSUV) for label in table.initializer])


def filters_of(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return, for each row, what the page can be filtered by."""
    return with_source(table)[["dataset", "initializer", "source"]].to_dict("records")
