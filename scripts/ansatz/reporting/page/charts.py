"""What all charts of the page share: the data they draw, colours, tooltips and sizes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ansatz.reporting.figures.palette import LineStyle, Style
from ansatz.reporting.figures.style import evenly_spaced
from ansatz.reporting.formatting import short

ROWS = "rows"  # the name of the data of every chart, which the page fills in
WIDTH, HEIGHT = 320, 220  # pixels, of most charts; the width only until they are drawn
STEP = 20  # pixels, of an entry of an axis of names
DASHES: dict[LineStyle, list[int]] = {"-": [1, 0], "--": [6, 3], ":": [1, 3], "-.": [7, 3, 1, 3]}
LONGEST = 60  # points of a line, at most
KEYED = 10  # layers, at most, of a chart that has a key of them
DIVERGING = "redblue"  # blue is larger


def chart(**options: Any) -> alt.Chart:
    """Return an empty chart, which the page makes as wide as its place."""
    return alt.Chart(alt.NamedData(name=ROWS), **{"width": WIDTH, "height": HEIGHT} | options)


def colour(styles: Mapping[str, Style], field: str = "initializer") -> alt.Color:
    """Return the colours of names, which are those of the static figures; their key is the page's own."""
    scale = alt.Scale(domain=list(styles), range=[style.colour for style in styles.values()])
    return alt.Color(f"{_escaped(field)}:N", scale=scale, legend=None)


def dash(styles: Mapping[str, Style], field: str = "initializer") -> alt.StrokeDash:
    """Return the line styles of names, which are those of the static figures."""
    lines = [dashes(style.linestyle) for style in styles.values()]
    scale = alt.Scale(domain=list(styles), range=lines)
    return alt.StrokeDash(f"{_escaped(field)}:N", scale=scale, legend=None)


def dashes(line: LineStyle) -> list[int]:
    """Return a line style of Matplotlib's as lengths of dashes and gaps, in pixels."""
    return DASHES[line] if isinstance(line, str) else list(line[1])


def tooltips(fields: Mapping[str, str]) -> list[alt.Tooltip]:
    """Return what is shown where the pointer rests.

    Parameters
    ----------
    fields : mapping of str to str
        Title -> column with its type, and the format of a number after a bar: ``accuracy:Q|.2f``.
    """
    parts = [(title, *field.partition("|")) for title, field in fields.items()]
    return [
        alt.Tooltip(_escaped(name), title=title, **({"format": form} if form else {})) for title, name, _, form in parts
    ]


def names_axis(**options: Any) -> alt.Axis:
    """Return an axis of names."""
    usual = {"title": None, "labelLimit": 190, "ticks": False, "domain": False, "grid": False, "offset": 6}
    return alt.Axis(**usual | options)


def slanted_names() -> alt.Axis:
    """Return an axis of the names of columns."""
    return alt.Axis(labelAngle=-45, ticks=False, domain=False, grid=False)


def whole_numbers() -> alt.Axis:
    """Return an axis of numbers such as epochs."""
    return alt.Axis(tickMinStep=1, format="d")


def keyed(colour: alt.Color, dash: alt.StrokeDash) -> tuple[alt.Color, alt.StrokeDash]:
    """Return the colours and styles of lines with a key below the chart, which shows both."""
    look = {"symbolType": "stroke", "symbolSize": 300, "symbolStrokeWidth": 2}
    key = alt.Legend(title=None, orient="bottom", columns=2, labelLimit=200, **look)
    return colour.legend(key), dash.legend(key)


def layer_colour(order: Sequence[str]) -> alt.Color:
    """Return the colours of layers, from the first (dark) to the last (light); only a few of them have a key."""
    key = alt.Legend(title="layer", symbolType="stroke", symbolStrokeWidth=2) if len(order) <= KEYED else None
    return alt.Color("layer:N", sort=list(order), scale=alt.Scale(scheme="viridis"), legend=key)


def shortened(layers: pd.Series) -> pd.Series:
    """Return the names of layers as figures write them, unless that would make two of them alike."""
    names = layers.map(short)
    return names if names.nunique() == layers.nunique() else layers


def thinned(table: pd.DataFrame, keys: Iterable[str], column: str, most: int = LONGEST) -> tuple[pd.DataFrame, str]:
    """Keep at most so many positions along lines, the same ones of all lines, so that means over them stay means.

    Parameters
    ----------
    table : DataFrame
    keys : iterable of str
        The columns that tell lines apart.
    column : str
        Of positions along the line; they are kept evenly spaced, with the first and the last one of all.
    most : int

    Returns
    -------
    table : DataFrame
    note : str
        That points were left out, and how many are kept; empty if none were.
    """
    longest = table.groupby(list(keys), sort=False)[column].nunique().max() if len(table) else 0
    if longest <= most:
        return table, ""
    values = np.sort(table[column].unique())
    kept = values[evenly_spaced(len(values), most)]
    return table[table[column].isin(kept)], f"Of the {longest} points of a line, {most} are drawn, evenly spaced."


def _escaped(field: str) -> str:
    """Return a field in which Vega-Lite does not take dots and brackets for paths."""
    name, colon, kind = field.rpartition(":")
    name, kind = (name, colon + kind) if colon else (field, "")
    for character in ".[]":
        name = name.replace(character, f"\\{character}")
    return name + kind
