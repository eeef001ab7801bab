"""What the page is made of: sections, and in them charts, tables, texts, pictures and slides.

`section` registers the function that makes a section. Its parameters say what it is made of: each is named after an
input of the rule, and a section for which one is missing does not appear.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from itertools import chain
from types import ModuleType
from typing import Any

import altair as alt
import pandas as pd

Value = str | float | None


@dataclass(frozen=True)
class Text:
    """A text that keeps its line breaks, such as a configuration, folded away below its title."""

    title: str
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart of rows of a table.

    Attributes
    ----------
    title : str
    spec : altair chart
        Over the data `ROWS` of `ansatz.reporting.page.charts`.
    table : str
        The name of the table of the section, see `Section.tables`.
    where : mapping of str to value
        Column -> the value of the rows to draw.
    description : str
        What it shows, for those who cannot see it.
    height : float
        In pixels, before it is drawn.
    wide : bool
        Whether it needs the width of the page.
    """

    title: str
    spec: Any
    table: str
    where: Mapping[str, Value] = field(default_factory=dict)
    description: str = ""
    height: float = 220
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, what it sorts by, and whether it is marked or links to a file."""

    text: str
    value: Value = None
    strong: bool = False
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Attributes
    ----------
    headings : sequence of str
    rows : sequence of sequence of Cell
    filters : sequence of mapping of str to str
        For each row, its values of what the page can be filtered by.
    caption : str
    title : str
        If it has one, the table is folded away below it.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    filters: Sequence[Mapping[str, str]] = ()
    caption: str = ""
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture: its data as a URI, what it shows, and whether it needs the width of the page."""

    uri: str
    description: str
    title: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Slides:
    """Pictures that a slider steps through together.

    Attributes
    ----------
    labels : sequence of str
        Of the positions of the slider.
    strips : mapping of str to sequence of Picture
        Title -> a picture for each position.
    caption : str
    """

    labels: Sequence[str]
    strips: Mapping[str, Sequence[Picture]]
    caption: str = ""


@dataclass(frozen=True)
class Control:
    """What changes all charts of a section that have a parameter of this name.

    Attributes
    ----------
    parameter : str
    label : str
    choices : mapping of str to value
        Label -> value; none if it is switched on and off.
    """

    parameter: str
    label: str
    choices: Mapping[str, Value] = field(default_factory=dict)


Block = Text | Chart | Table | Picture | Slides


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    title : str
    blocks : sequence of Block
    tables : mapping of str to DataFrame
        Name -> the rows that charts draw.
    controls : sequence of Control
    answer : str
        What it found, in a sentence or two.
    introduction : str
    key : str
        The filter of the page whose values have the colours of its charts, if there is one.
    """

    title: str
    blocks: Sequence[Block]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    controls: Sequence[Control] = ()
    answer: str = ""
    introduction: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        """Its name in links."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())

    @property
    def grouped(self) -> list[tuple[str, list[Block]]]:
        """Its blocks, those of a kind that follow each other together: (kind, blocks)."""
        groups: list[tuple[str, list[Block]]] = []
        for block in self.blocks:
            kind = type(block).__name__.lower()
            if not groups or groups[-1][0] != kind:
                groups.append((kind, []))
            groups[-1][1].append(block)
        return groups


Make = Callable[..., Section]
_SECTIONS: dict[str, list[Make]] = {}  # module -> its functions


def section(make: Make) -> Make:
    """Register a function that makes a section; one without blocks is not shown."""
    _SECTIONS.setdefault(make.__module__, []).append(make)
    return make


def make_sections(modules: Iterable[ModuleType], material: Mapping[str, Any]) -> list[Section]:
    """Return all sections that can be made.

    Parameters
    ----------
    modules : iterable of module
        Those that define sections, in the order of the page.
    material : mapping of str to value
        Name of an input -> what was read from it.
    """
    made = []
    for make in chain.from_iterable(_SECTIONS[module.__name__] for module in modules):
        needed = signature(make).parameters.values()
        if all(each.name in material or each.default is not Parameter.empty for each in needed):
            made.append(make(**{each.name: material[each.name] for each in needed if each.name in material}))
    return [each for each in made if each.blocks]


def to_dict(chart: Chart) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart."""
    spec: alt.TopLevelMixin = chart.spec
    made = spec.to_dict()
    return {key: value for key, value in made.items() if key not in ("config", "$schema")}
