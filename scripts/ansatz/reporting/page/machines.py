"""The section of the page about kernel machines."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ansatz.reporting.figures.machines import styles_of, with_all_layers
from ansatz.reporting.formatting import difference_and_interval, mean_and_spread
from ansatz.reporting.machines import Machine, baseline_of, read_declared, summarize
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import Block, Cell, Chart, Section, Table, section
from ansatz.reporting.page.pictures import picture


@section
def machines(
    scores: pd.DataFrame, machines: Mapping[str, Mapping[str, Any]], machine_pictures: Sequence[str] = ()
) -> Section:
    """Make the section on machines: accuracy against noise, and the features that they learn."""
    declared = read_declared(machines)
    summary = summarize(scores, declared)
    titles = {label: machine.title for label, machine in declared.items()}
    whole = with_all_layers(summary)
    rows = whole.assign(
        title=whole.machine.map(titles).fillna(whole.machine),
        task=[
            experiment if experiment == dataset else f"{experiment}: {dataset}"
            for experiment, dataset in zip(whole.experiment, whole.dataset, strict=True)
        ],
        percent=100 * whole.accuracy,
        low=100 * (whole.accuracy - whole.accuracy_std.fillna(0)),
        high=100 * (whole.accuracy + whole.accuracy_std.fillna(0)),
        text=[_difference(row, baseline_of(declared)) for row in whole.itertuples()],
    )
    style_of = {titles.get(label, label): style for label, style in styles_of(declared, set(rows.machine)).items()}
    blocks: list[Block] = [
        Chart(
            task,
            _noise(style_of) if own.noise.nunique() > 1 else _bars(style_of),
            "machines",
            {"task": task},
            f"Test accuracy on {task}: " + "; ".join(f"{row.title} {row.percent:.1f} %" for row in own.itertuples()),
            height=300,
        )
        for task, own in rows.groupby("task", sort=False)
    ]
    columns = ["dataset", "task", "noise", "machine", "title", "percent", "low", "high", "text", "seeds", "seconds"]
    return Section(
        "Do machines learn features without backpropagation?",
        [*blocks, _table(summary, declared), *(picture(path, "kernels") for path in machine_pictures)],
        {"machines": rows[columns]},
        introduction="Test accuracy in percent, mean over seeds; bars are one standard deviation.",
    )


def _axis() -> alt.Y:
    return alt.Y("percent:Q", title="test accuracy, percent", scale=alt.Scale(zero=False))


def _shown(baseline: str = "the baseline") -> list[alt.Tooltip]:
    fields = {"machine": "title:N", "noise": "noise:Q", "accuracy": "percent:Q|.2f", f"to {baseline}": "text:N"}
    return charts.tooltips(fields | {"seeds": "seeds:Q", "seconds": "seconds:Q|.1f"})


def _noise(style_of: Mapping[str, Any]) -> alt.LayerChart:
    colour, dash = charts.keyed(charts.colour(style_of, "title"), charts.dash(style_of, "title"))
    base = charts.chart().encode(x=alt.X("noise:Q", title="noise"), y=_axis(), color=colour)
    line = base.mark_line().encode(strokeDash=dash)
    spread = base.mark_rule().encode(y=alt.Y("low:Q", title="test accuracy, percent"), y2="high:Q")
    return alt.layer(spread, line, base.mark_circle(size=50, opacity=1).encode(tooltip=_shown()))


def _bars(style_of: Mapping[str, Any]) -> alt.LayerChart:
    colour = charts.colour(style_of, "title")
    base = charts.chart(height=alt.Step(26)).encode(y=alt.Y("title:N", sort=list(style_of), axis=charts.names_axis()))
    x = alt.X("percent:Q", title="test accuracy, percent", scale=alt.Scale(zero=False))
    points = base.mark_point(filled=True, size=90, opacity=1).encode(x=x, color=colour, tooltip=_shown())
    spread = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="test accuracy, percent"), x2="high:Q", color=colour
    )
    return alt.layer(spread, points)


def _table(summary: pd.DataFrame, declared: Mapping[str, Machine]) -> Table:
    baseline = baseline_of(declared)
    names = {label: machine.title for label, machine in declared.items()}
    rows = [
        [
            Cell(row.experiment, row.experiment),
            Cell(row.dataset, row.dataset),
            Cell(f"{row.noise:g}", row.noise),
            Cell(names.get(row.machine, row.machine), row.machine),
            Cell(f"{row.layers}", row.layers),
            Cell(_spread(row), row.accuracy),
            Cell(_difference(row, baseline), row.difference),
            Cell(f"{row.seconds:.1f}", row.seconds),
        ]
        for row in summary.itertuples()
    ]
    against = f"Δ to {names[baseline]} [95 %]" if baseline else "Δ"
    headings = ["experiment", "dataset", "noise", "machine", "layers", "accuracy", against, "seconds"]
    return Table(
        headings,
        rows,
        [{"dataset": row.dataset} for row in summary.itertuples()],
        "Layers are those that learn features; seconds are the time to fit the machine with all of them.",
    )


def _difference(row: Any, baseline: str | None) -> str:
    return "baseline" if row.machine == baseline else difference_and_interval(row)


def _spread(row: Any) -> str:
    return mean_and_spread(100 * row.accuracy, 100 * row.accuracy_std)
