"""Colours, line styles and markers: one style for a name, in every figure, and no two names alike.

Colours are those of Okabe and Ito and of Paul Tol, which the colour-blind can tell apart; line styles tell members of a
family apart in grey print too.
"""

import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ansatz.registry import LSUV

BLACK, GREY, SILVER, CHARCOAL = "#000000", "#7f7f7f", "#bbbbbb", "#555555"
ORANGE, SKY, GREEN, BLUE = "#e69f00", "#56b4e9", "#009e73", "#0072b2"
VERMILION, PURPLE, INDIGO, OLIVE = "#d55e00", "#cc79a7", "#332288", "#6b6b00"
WINE, FOREST, BROWN, MAGENTA = "#882255", "#117733", "#661100", "#aa4499"
DISTINCT = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)  # for a few lines whose names are not styled
LineStyle = str | tuple[int, tuple[int, ...]]  # as Matplotlib writes them
DASH_DOT_DOT, LONG_DASHES = (0, (5, 1, 1, 1, 1, 1)), (0, (9, 2))
HATCHES: dict[LineStyle, str] = {"--": "//", "-.": "\\\\", DASH_DOT_DOT: "xx", LONG_DASHES: ".."}


@dataclass(frozen=True)
class Style:
    """How a line or bar is drawn."""

    colour: str = GREY
    linestyle: LineStyle = "-"
    marker: str = "o"

    @property
    def line(self) -> dict[str, Any]:
        """Colour and line style, as keywords of Matplotlib's."""
        return {"color": self.colour, "linestyle": self.linestyle}

    @property
    def marked(self) -> dict[str, Any]:
        """Colour, line style and marker, as keywords of Matplotlib's."""
        return self.line | {"marker": self.marker, "markersize": 3}

    @property
    def hatch(self) -> str | None:
        """The pattern of bars, which tells members of a family apart as the line style does."""
        return HATCHES.get(self.linestyle)


CHOSEN = {
    "normal": Style(GREY, "-"),
    "uniform": Style(SILVER, "--"),
    "xavier_normal": Style(SKY, "-"),
    "xavier_uniform": Style(INDIGO, "--"),
    "kaiming_normal": Style(BLUE, "-"),
    "kaiming_uniform": Style(BLACK, "-"),
    "orthogonal": Style(OLIVE, "-."),
    "delta_orthogonal": Style(OLIVE, "--"),
    "lsuv": Style(OLIVE, "-"),
    "dirac": Style(BROWN, "-"),
    "whitening": Style(FOREST, "-"),
    "patch_covariance": Style(WINE, "-"),
    "filter_covariance": Style(MAGENTA, "-"),
    "weights": Style(INDIGO, "-"),
    "trunc_normal": Style(CHARCOAL, "-"),
    "mimetic": Style(FOREST, "--"),
    "random_weights": Style(CHARCOAL, "--"),
    "kaiming_nfm": Style(VERMILION, "-"),
    "nfm": Style(ORANGE, "--"),
    "nfm_joint": Style(ORANGE, "-"),
    "kaiming_agop": Style(GREEN, "-"),
    "agop": Style(PURPLE, "--"),
    "cntk": Style(GREY, "-", "o"),
    "nngp": Style(GREY, ":", "v"),
    "laplace": Style(GREY, "--", "s"),
    "convrfm": Style(BLUE, "-", "o"),
    "convrfm_laplace": Style(SKY, "--", "s"),
    "deep_convrfm": Style(GREEN, "-", "^"),
    "cnn": Style(VERMILION, ":", "D"),
}  # by hand, so that families look alike
# Line styles, each with its marker, for every other name; hardly any of the styles above has them.
LINES: tuple[tuple[LineStyle, str], ...] = (("-.", "P"), (":", "X"), (DASH_DOT_DOT, "<"), (LONG_DASHES, ">"))
for name in ("kaiming_nfm", "nfm", "kaiming_agop", "agop"):  # the controls look like what they control
    for part, (linestyle, marker) in zip(("spectrum", "basis", "shuffled"), LINES, strict=False):
        CHOSEN[f"{name}_{part}"] = Style(CHOSEN[name].colour, linestyle, marker)
CHOSEN |= {f"{name}_centred": Style(CHOSEN[name].colour, LONG_DASHES, ">") for name in ("kaiming_nfm", "nfm")}
COLOURFUL, GREYISH = (
    [Style(colour, linestyle, marker) for colour in colours for linestyle, marker in LINES]
    for colours in ((WINE, FOREST, BROWN, MAGENTA, INDIGO), (SILVER, CHARCOAL))
)


def styles(names: Iterable[str], grey: Collection[str] = ()) -> dict[str, Style]:
    """Return the style of each name, in their order.

    A name's style depends on the name alone; what is scaled, such as nfm+lsuv, has the colour of what it scales. If two
    names would look alike, the later one in the alphabet takes the next free style, while there is one.

    Parameters
    ----------
    names : iterable of str
        Initializers, or machines.
    grey : collection of str
        Those to draw in grey, such as machines that learn no features.
    """
    names = list(dict.fromkeys(names))
    chosen = {name: CHOSEN[name] for name in names if name in CHOSEN}
    for name in sorted(set(names) - set(chosen)):
        palette = GREYISH if name in grey else _scaled(name) or COLOURFUL
        first = zlib.crc32(name.encode()) % len(palette)
        slots = palette[first:] + palette[:first]
        chosen[name] = next((style for style in slots if style not in chosen.values()), slots[0])
    return {name: chosen[name] for name in names}


def _scaled(name: str) -> list[Style]:
    """Return the styles for an initializer with +lsuv: its colour without, and any other line."""
    plain = CHOSEN.get(name.removesuffix(LSUV))
    if plain is None:
        return []
    lines: tuple[tuple[LineStyle, str], ...] = (("-", "o"), ("--", "s"), *LINES)
    return [Style(plain.colour, *line) for line in lines if line[0] != plain.linestyle]
