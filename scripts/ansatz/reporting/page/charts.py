"""What all charts of the page share: the data they draw, colours, tooltips and sizes."""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ansatz.reporting.figures.palette import LineStyle, Style

ROWS = "rows"  # the name of the data of every chart, which the page fills in
HEIGHT = 220  # pixels, of most charts
STEP = 20  # pixels, of an entry of an axis of names
DASHES: dict[LineStyle, list[int]] = {"-": [1, 0], "--": [6, 3], ":": [1, 3], "-.": [7, 3, 1, 3]}
LONGEST = 60  # points of a line, at most
DIVERGING = "redblue"  # blue is larger


def chart(**options: Any) -> alt.Chart:
    """Return an empty chart that is as wide as its place in the page."""
    return alt.Chart(alt.NamedData(name=ROWS), width="container", **{"height": HEIGHT} | options)


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
    return alt.Axis(**{"title": None, "labelLimit": 190, "ticks": False, "domain": False, "grid": False} | options)


def thinned(table: pd.DataFrame, keys: Iterable[str], column: str, most: int = LONGEST) -> tuple[pd.DataFrame, str]:
    """Keep at most so many points of each line, with its first and its last one.

    Parameters
    ----------
    table : DataFrame
    keys : iterable of str
        The columns that tell lines apart.
    column : str
        Of positions along the line; they are kept evenly spaced.
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
    kept = values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]
    last = table.groupby(list(keys), sort=False)[column].transform("max")
    note = f"Of the {longest} points of a line, {most} are drawn, evenly spaced."
    return table[table[column].isin(kept) | (table[column] == last)], note


def _escaped(field: str) -> str:
    """Return a field in which Vega-Lite does not take dots and brackets for paths."""
    name, colon, kind = field.rpartition(":")
    name, kind = (name, colon + kind) if colon else (field, "")
    for character in ".[]":
        name = name.replace(character, f"\\{character}")
    return name + kind
