"""Figures of kernel machines: accuracy against noise, improvement over the CNTK, and what they learn to look for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle, zip_longest

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Formatter, FuncFormatter

from ansatz.figures import FRAMED, LEGEND, PANEL, STYLE, TINY, note
from ansatz.statistics import BASELINE_MACHINE, over_machines
from ansatz.store import Learnt


@dataclass(frozen=True)
class Look:
    """How a machine is written and drawn."""

    name: str
    colour: str
    dashes: str
    marker: str


# For the colour-blind: colours of Okabe and Ito's and of Paul Tol's palettes; what learns no features is grey.
MACHINE_LOOKS: dict[str, Look] = {
    "cntk": Look("CNTK", "#7f7f7f", "-", "o"),
    "nngp": Look("NNGP", "#7f7f7f", ":", "v"),
    "laplace": Look("Laplace", "#7f7f7f", "--", "s"),
    "convrfm": Look("ConvRFM", "#0072b2", "-", "o"),
    "convrfm_laplace": Look("ConvRFM, Laplace", "#56b4e9", "--", "s"),
    "deep_convrfm": Look("Deep ConvRFM", "#009e73", "-", "^"),
    "cnn": Look("CNN", "#d55e00", ":", "D"),
}
OTHER_COLOURS = ("#882255", "#cc79a7", "#e69f00", "#332288")
SIDE = 0.85  # inches, of a picture
Drawing = Callable[[Axes, pd.DataFrame, Mapping[str, Look]], None]
LEVELS = 6  # of noise, that ticks are written for
GAIN, RIGHT = "accuracy − CNTK's, points", "test accuracy, percent"
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.3g}")
POINTS = FuncFormatter(lambda share, _: f"{100 * share:+.3g}".replace("-", "−") if share else "0")


def machine_looks(machines: Iterable[str]) -> dict[str, Look]:
    """Return the look of each machine, in the order of `MACHINE_LOOKS`; of one's own, by their names, after these."""
    machines = set(machines)
    others = zip(sorted(machines - set(MACHINE_LOOKS)), cycle(OTHER_COLOURS), strict=False)
    every = MACHINE_LOOKS | {machine: Look(machine, colour, "-.", "P") for machine, colour in others}
    return {machine: look for machine, look in every.items() if machine in machines}


def noise(tidy: pd.DataFrame) -> Figure:
    """Draw accuracy against the level of noise, a panel a (experiment, dataset); bars are one standard deviation.

    Parameters
    ----------
    tidy : DataFrame
        As ``kernels/tidy.csv``; of a deep machine, all its layers are meant.
    """
    return _panels(_whole(over_machines(tidy)), _against_noise, "noise", RIGHT, PERCENT)


def improvement(tidy: pd.DataFrame) -> Figure:
    """Draw how much more accurate than the CNTK each machine is, as bars with their 95 % interval over seeds."""
    return _gains(_whole(over_machines(tidy)), _bars, "noise")


def layers(tidy: pd.DataFrame) -> Figure:
    """Draw how much more accurate than the CNTK machines are against the number of layers that learn features.

    A line a machine and level of noise, whose number stands at its end.
    """
    return _gains(over_machines(tidy), _against_layers, "layers that learn features")


SCORE_FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "noise": noise,
    "improvement": improvement,
    "layers": layers,
}


def looks(learnt: Mapping[str, Learnt]) -> Figure:
    """Draw images, and below each what machines let through of it, layer beside layer, each in its own scale.

    What patches see, of which there are fewer than pixels, lies where their centres are.

    Parameters
    ----------
    learnt : mapping of str to Learnt
        By machine; of the same images.
    """
    images, shown = next(iter(learnt.values())).images, machine_looks(learnt)
    rows = [("image", np.moveaxis(images, 1, -1))]
    for number, maps_of_a_layer in enumerate(zip_longest(*(one.looks.values() for one in learnt.values()))):
        for (machine, one), maps in zip(learnt.items(), maps_of_a_layer, strict=True):
            if maps is not None:
                layer = f"\nlayer {number + 1}" if len(one.looks) > 1 else ""
                rows.append((shown[machine].name + layer, maps))
    height, width = images.shape[2:]
    with mpl.rc_context(FRAMED):
        figure = Figure(
            figsize=(SIDE * len(images) + 0.9, SIDE * height / width * len(rows) + 0.1), layout="compressed"
        )
        grid = figure.subplots(len(rows), len(images), squeeze=False)
        for line, (label, pictures) in zip(grid, rows, strict=True):
            line[0].set_ylabel(label, fontsize=6, rotation=0, ha="right", va="center")
            for axes, picture in zip(line, pictures, strict=True):
                down, right = ((whole - part) / 2 for whole, part in zip((height, width), picture.shape, strict=False))
                axes.imshow(
                    _scaled(picture),
                    cmap="gray" if label == "image" else "magma",
                    vmin=0,
                    vmax=1,
                    extent=(right, width - right, height - down, down),
                )
                axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _scaled(values: np.ndarray) -> np.ndarray:
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread else np.zeros_like(values)


def _whole(summary: pd.DataFrame) -> pd.DataFrame:
    """Keep all layers of a machine, where it has some."""
    keys = ["experiment", "dataset", "noise", "machine"]
    return summary[summary.layers == summary.groupby(keys).layers.transform("max")]


def _gains(summary: pd.DataFrame, draw: Drawing, x: str) -> Figure:
    learners = summary[summary.machine != BASELINE_MACHINE]
    if learners.empty:
        return note("no machine was run beside the CNTK")
    return _panels(learners, draw, x, GAIN, POINTS)


def _panels(summary: pd.DataFrame, draw: Drawing, x: str, y: str, ticks: Formatter) -> Figure:
    shown = machine_looks(summary.machine)
    panels = list(summary.groupby(["experiment", "dataset"], sort=False))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        size = (0.8 * PANEL[0] * columns + LEGEND, 0.9 * PANEL[1] * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).flatten()
        for axes, ((experiment, dataset), group) in zip(grid, panels, strict=False):
            draw(axes, group, shown)
            axes.set_title(dataset if experiment == dataset else f"{experiment}: {dataset}")
            axes.yaxis.set_major_formatter(ticks)
            axes.set_xlabel(x)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supylabel(y, fontsize=STYLE["font.size"])
        named = {label: one for axes in grid for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        names = [look.name for look in shown.values()]
        figure.legend([named[name] for name in names], names, loc="outside right upper", handlelength=2.6)
    return figure


def _against_noise(axes: Axes, group: pd.DataFrame, shown: Mapping[str, Look]) -> None:
    for machine, look in shown.items():
        if len(some := group[group.machine == machine].sort_values("noise")):
            axes.errorbar(
                some.noise,
                some.accuracy,
                yerr=some.accuracy_std.fillna(0),
                color=look.colour,
                linestyle=look.dashes,
                marker=look.marker,
                markersize=3,
                elinewidth=0.8,
                label=look.name,
            )
    axes.xaxis.set_major_locator(FixedLocator(sorted(group.noise.unique()), nbins=LEVELS))
    axes.xaxis.set_major_formatter("{x:g}")


def _bars(axes: Axes, group: pd.DataFrame, shown: Mapping[str, Look]) -> None:
    levels = {level: place for place, level in enumerate(sorted(group.noise.unique()))}
    machines = [machine for machine in shown if machine in set(group.machine)]
    width = 0.8 / len(machines)
    for number, machine in enumerate(machines):
        some = group[group.machine == machine]
        places = some.noise.map(levels) + (number - (len(machines) - 1) / 2) * width
        reach = np.vstack([some.difference - some.difference_low, some.difference_high - some.difference])
        look = shown[machine]
        hatch = "//" if look.dashes == "--" else None
        axes.bar(places, some.difference, width, color=look.colour, hatch=hatch, edgecolor="white", label=look.name)
        axes.errorbar(places, some.difference, yerr=np.nan_to_num(reach), fmt="none", ecolor="black", elinewidth=0.8)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(list(levels.values()), [f"{level:g}" for level in levels])


def _against_layers(axes: Axes, group: pd.DataFrame, shown: Mapping[str, Look]) -> None:
    shades = dict(zip(sorted(group.noise.unique()), np.linspace(1, 0.35, group.noise.nunique())[::-1], strict=True))
    for (machine, level), some in group.groupby(["machine", "noise"], sort=False):
        look = shown[machine]
        name = look.name if level == group.noise.max() else None
        if machine == "deep_convrfm":  # whose first layer is the ConvRFM
            some = pd.concat([some.iloc[:1].assign(layers=0, difference=0.0), some])
        axes.plot(
            some.layers,
            some.difference,
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker,
            markersize=3,
            alpha=shades[level],
            label=name,
        )
        if group.noise.nunique() > 1:
            axes.annotate(
                f"{level:g}",
                (some.layers.iloc[-1], some.difference.iloc[-1]),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=TINY,
                color=look.colour,
            )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(int(group.layers.max()) + 1))
