"""Rendering the page: one HTML file that asks for nothing else."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from ansatz.files.tables import read_csv
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.page import alignment, charts, evolution, initialization, learning, machines, runs, sources
from ansatz.reporting.page.blocks import Chart, Section, make_sections, to_dict

PARTS = (initialization, learning, sources, alignment, evolution, machines, runs)  # in the order of the page
HERE = Path(__file__).parent
FILTERS = {"dataset": "Dataset", "initializer": "Initializer", "source": "Source", "variant": "Network"}
DENSE = 3000  # rows of a chart, from which on it is drawn as pixels, as so many shapes would be slow
DIGITS = 5  # significant ones, of the numbers that charts draw
dumps = partial(json.dumps, allow_nan=False, separators=(",", ":"))


def render(name: str, material: Mapping[str, Any]) -> str:
    """Return the page of results as HTML.

    Parameters
    ----------
    name : str
        That of the configuration.
    material : mapping of str to value
        What sections are made of, by the names of their parameters. CSV files are read; other files are left to the
        section that asks for them.

    Returns
    -------
    str
        One file, with the libraries that draw its charts in it; it loads nothing.
    """
    read = {key: _read(value) for key, value in material.items()}
    sections = make_sections(PARTS, read)
    facts = runs.facts_of(**{key: read[key] for key in signature(runs.facts_of).parameters if key in read})
    charts_of = [
        (section, block) for section in sections for block in section.blocks if isinstance(block, Chart)
    ]  # in the order of the template, which numbers them
    tables = {f"{section.name}/{key}": table for section in sections for key, table in section.tables.items()}
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html").render(
        name=name,
        facts=facts,
        sections=sections,
        filters=_filters(tables.values()),
        data=_json(
            {
                "tables": {key: _columns(table) for key, table in tables.items()},
                "charts": [_chart(section, chart) for section, chart in charts_of],
                "dense": DENSE,
            }
        ),
        style=Markup(HERE.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(HERE.joinpath("page.js").read_text(encoding="utf-8")),
        libraries=_libraries(),
        dashes=charts.dashes,
    )


@cache  # it takes seconds
def _libraries() -> Markup:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    return Markup(vl_convert.javascript_bundle())


def _read(value: Any) -> Any:
    """Return the table of a CSV file, or the tables of several; other files and values as they are."""
    if isinstance(value, str):
        return read_csv(value) if value.endswith(".csv") else value
    tables = isinstance(value, Sequence) and all(str(each).endswith(".csv") for each in value)
    return [read_csv(each) for each in value] if tables else value


def _chart(section: Section, chart: Chart) -> dict[str, Any]:
    return {"spec": to_dict(chart), "table": f"{section.name}/{chart.table}", "where": dict(chart.where)}


def _filters(tables: Collection[pd.DataFrame]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what the page can be filtered by: (column, title, value -> its style, or None where values have none)."""
    columns = {key: [table[key] for table in tables if key in table] for key in FILTERS}
    found = {
        key: dict.fromkeys(filter(None, chain(*(c.unique() for c in sorted(own, key=pd.Series.nunique, reverse=True)))))
        for key, own in columns.items()
    }  # in the order of the column that has most of them
    style_of = styles(found["initializer"])
    return [
        (key, FILTERS[key], {value: style_of.get(value) for value in values})
        for key, values in found.items()
        if len(values) > 1
    ]


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a table for JSON: names as their levels and codes, numbers with few digits."""
    return {str(name): _column(values) for name, values in table.items()}


def _column(values: pd.Series) -> Any:
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_integer_dtype(values):
        return values.tolist()
    if pd.api.types.is_float_dtype(values):
        return [None if value != value or abs(value) == float("inf") else _rounded(value) for value in values.tolist()]
    codes, levels = pd.factorize(values)
    return {"levels": [_plain(level) for level in levels], "codes": codes.tolist()}


def _rounded(value: float) -> float:
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e9 else short


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _json(value: Any) -> Markup:
    """Return JSON that is safe within HTML."""
    return Markup(htmlsafe_json_dumps(value, dumps=dumps))
