"""An axis of layers, from the first to the last; in networks of blocks, those of a kind stand beside each other."""

from collections.abc import Sequence
from itertools import chain

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ansatz.reporting.formatting import short


class LayerAxis:
    """Where layers are drawn: numbers from 1 on.

    Where a network repeats a block, as transformers do, layers of one kind, such as queries, follow each other from the
    first block to the last, with a gap to those of the next kind. A line through all of them would be a zigzag.

    Parameters
    ----------
    layers : sequence of str
        Their names, from the first layer to the last.

    Attributes
    ----------
    groups : dict of str to dict of str to int
        Kind -> layer -> its place; a line is drawn through each group. Networks without blocks are one group.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        kind_of = {layer: short(layer).partition(".")[2] if short(layer) != layer else layer for layer in layers}
        in_blocks = sum(kind != layer for layer, kind in kind_of.items()) > len(layers) / 2
        self.groups: dict[str, dict[str, int]] = {}
        for kind in dict.fromkeys(kind_of.values()) if in_blocks else [""]:
            first = len(self.place) + len(self.groups) + 1  # after a gap
            members = [layer for layer in layers if kind_of[layer] == kind or not in_blocks]
            self.groups[kind] = {layer: place for place, layer in enumerate(members, first)}

    @property
    def place(self) -> dict[str, int]:
        """The place of each layer."""
        return dict(chain.from_iterable(group.items() for group in self.groups.values()))

    def label(self, axes: Axes) -> None:
        """Label the axis: with numbers, or with a kind in the middle of its layers."""
        if len(self.groups) == 1:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            return
        middles = [(min(group.values()) + max(group.values())) / 2 for group in self.groups.values()]
        axes.set_xticks(middles, list(self.groups), rotation=90)
        axes.tick_params("x", length=0)
        axes.grid(False, axis="x")
