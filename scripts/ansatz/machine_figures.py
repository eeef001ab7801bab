"""Figures of kernel machines: accuracy against noise, improvement over the CNTK, and what they learn to look for."""

from collections.abc import Callable, Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter

from ansatz.figures import FRAMED, LEGEND, PANEL, STYLE, TINY
from ansatz.statistics import over_machines
from ansatz.store import Learnt

# One look a machine, for the colour-blind: Okabe and Ito's colours; what learns no features is grey.
MACHINE_LOOKS: dict[str, tuple[str, str, str]] = {
    "cntk": ("#7f7f7f", "-", "o"),
    "nngp": ("#7f7f7f", ":", "v"),
    "laplace": ("#7f7f7f", "--", "s"),
    "convrfm": ("#0072b2", "-", "o"),
    "convrfm_laplace": ("#56b4e9", "--", "s"),
    "deep_convrfm": ("#009e73", "-", "^"),
    "cnn": ("#d55e00", ":", "D"),
}
NAMES = {
    "cntk": "CNTK",
    "nngp": "NNGP",
    "laplace": "Laplace",
    "convrfm": "ConvRFM",
    "convrfm_laplace": "ConvRFM, Laplace",
    "deep_convrfm": "Deep ConvRFM",
    "cnn": "CNN",
}
SIDE = 0.85  # inches, of a picture
GAIN, RIGHT = "accuracy − CNTK's, points", "test accuracy, percent"
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.3g}")
POINTS = FuncFormatter(lambda share, _: f"{100 * share:+.3g}".replace("-", "−") if share else "0")


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
    return _panels(_whole(over_machines(tidy)), _bars, "noise", GAIN, POINTS)


def layers(tidy: pd.DataFrame) -> Figure:
    """Draw how much more accurate than the CNTK machines are against the number of layers that learn features.

    A line a machine and level of noise, whose number stands at its end.
    """
    return _panels(over_machines(tidy), _against_layers, "layers that learn features", GAIN, POINTS)


SCORE_FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "noise": noise,
    "improvement": improvement,
    "layers": layers,
}


def looks(learnt: Mapping[str, Learnt]) -> Figure:
    """Draw images, and below each what machines let through of it, layer beside layer, each in its own scale.

    Parameters
    ----------
    learnt : mapping of str to Learnt
        By machine; of the same images.
    """
    images = next(iter(learnt.values())).images
    rows = [("image", [np.moveaxis(_scaled(image), 0, -1) for image in images])]
    for number in range(max(len(one.looks) for one in learnt.values())):
        for machine, one in learnt.items():
            for maps in list(one.looks.values())[number : number + 1]:
                layer = f"\nlayer {number + 1}" if len(one.looks) > 1 else ""
                rows.append((NAMES[machine] + layer, [_scaled(map_) for map_ in maps]))
    ratio = images.shape[2] / images.shape[3]
    with mpl.rc_context(FRAMED):
        figure = Figure(figsize=(SIDE * len(images) + 0.9, SIDE * ratio * len(rows) + 0.1), layout="compressed")
        grid = figure.subplots(len(rows), len(images), squeeze=False)
        for line, (label, pictures) in zip(grid, rows, strict=True):
            line[0].set_ylabel(label, fontsize=6, rotation=0, ha="right", va="center")
            for axes, picture in zip(line, pictures, strict=True):
                axes.imshow(picture, cmap="gray" if label == "image" else "magma", vmin=0, vmax=1)
    return figure


def _scaled(values: np.ndarray) -> np.ndarray:
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread else np.zeros_like(values)


def _whole(summary: pd.DataFrame) -> pd.DataFrame:
    """Keep all layers of a machine, where it has some."""
    keys = ["experiment", "dataset", "noise", "machine"]
    return summary[summary.layers == summary.groupby(keys).layers.transform("max")]


def _panels(
    summary: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], x: str, y: str, ticks: Formatter
) -> Figure:
    panels = list(summary.groupby(["experiment", "dataset"], sort=False))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        size = (0.8 * PANEL[0] * columns + LEGEND, 0.9 * PANEL[1] * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).flatten()
        for axes, ((experiment, dataset), group) in zip(grid, panels, strict=False):
            draw(axes, group)
            axes.set_title(dataset if experiment == dataset else f"{experiment}: {dataset}")
            axes.yaxis.set_major_formatter(ticks)
            axes.set_xlabel(x)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supylabel(y, fontsize=STYLE["font.size"])
        named = {label: one for axes in grid for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        shown = [NAMES[machine] for machine in MACHINE_LOOKS if NAMES[machine] in named]
        figure.legend([named[name] for name in shown], shown, loc="outside right upper", handlelength=2.6)
    return figure


def _against_noise(axes: Axes, group: pd.DataFrame) -> None:
    for machine, (colour, dashes, marker) in MACHINE_LOOKS.items():
        if len(some := group[group.machine == machine].sort_values("noise")):
            axes.errorbar(
                some.noise,
                some.accuracy,
                yerr=some.accuracy_std.fillna(0),
                color=colour,
                linestyle=dashes,
                marker=marker,
                markersize=3,
                elinewidth=0.8,
                label=NAMES[machine],
            )
    if group.noise.nunique() == 1:
        axes.set_xticks(group.noise.unique(), [f"{level:g}" for level in group.noise.unique()])


def _bars(axes: Axes, group: pd.DataFrame) -> None:
    levels = {level: place for place, level in enumerate(sorted(group.noise.unique()))}
    machines = [machine for machine in MACHINE_LOOKS if machine in set(group.machine) - {"cntk"}]
    width = 0.8 / max(1, len(machines))
    for number, machine in enumerate(machines):
        some = group[group.machine == machine]
        places = some.noise.map(levels) + (number - (len(machines) - 1) / 2) * width
        reach = np.vstack([some.difference - some.difference_low, some.difference_high - some.difference])
        colour, _, _ = MACHINE_LOOKS[machine]
        hatch = "//" if MACHINE_LOOKS[machine][1] == "--" else None
        axes.bar(places, some.difference, width, color=colour, hatch=hatch, edgecolor="white", label=NAMES[machine])
        axes.errorbar(places, some.difference, yerr=np.nan_to_num(reach), fmt="none", ecolor="black", elinewidth=0.8)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(list(levels.values()), [f"{level:g}" for level in levels])


def _against_layers(axes: Axes, group: pd.DataFrame) -> None:
    shades = dict(zip(sorted(group.noise.unique()), np.linspace(1, 0.35, group.noise.nunique())[::-1], strict=True))
    for (machine, level), some in group[group.machine != "cntk"].groupby(["machine", "noise"], sort=False):
        colour, dashes, marker = MACHINE_LOOKS[machine]
        name = NAMES[machine] if level == group.noise.max() else None
        if machine == "deep_convrfm":  # whose first layer is the ConvRFM
            some = pd.concat([some.iloc[:1].assign(layers=0, difference=0.0), some])
        axes.plot(
            some.layers,
            some.difference,
            color=colour,
            linestyle=dashes,
            marker=marker,
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
                color=colour,
            )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(int(group.layers.max()) + 1))
