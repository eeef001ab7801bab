"""The linear maps of a network: convolutions, linear layers, and the queries, keys and values of attention heads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ansatz.errors import UserError, listed

# Of maps: types of their modules, and patterns of their names.
Selection = Sequence[type[nn.Module] | str] | type[nn.Module] | str
CONVOLUTIONS: Selection = (nn.Conv2d,)
PROJECTIONS = "qkv"  # of an attention, in the order in which `in_proj_weight` holds them


class Part(NamedTuple):
    """What a map is of an attention."""

    attention: str  # its name
    role: str  # q, k, v or out
    heads: int


@dataclass(frozen=True)
class LinearMap:
    """A linear map ``z = W v + b``, which a network applies at every position: to patches, or to tokens.

    Attributes
    ----------
    module : nn.Module
        What applies it.
    parameter : str
        The module's parameter that holds W.
    rows : slice
        The rows of that parameter that are W's.
    groups : int
        Of a convolution, its groups; of the queries, keys or values of an attention, its heads. The rows of each form a
        map of their own.
    axis : int
        The axis of the map's output that the rows are along, counted from the end.
    part : Part or None
        What it is of an attention, if it belongs to one.
    """

    module: nn.Module
    parameter: str
    rows: slice
    groups: int
    axis: int
    part: Part | None = None

    @property
    def source(self) -> torch.Tensor:
        """The parameter that holds W."""
        source: torch.Tensor = getattr(self.module, self.parameter)
        return source

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what a row of W sees: of a patch, channels (of its group) and sides; of a token, channels."""
        return (*self.source.shape[1:],)

    @property
    def filters(self) -> int:
        """The number of rows of each group."""
        return (self.rows.stop - self.rows.start) // self.groups

    @property
    def weight(self) -> torch.Tensor:
        """W: its parameter, or rows of it: (out, in / groups, kh, kw) of a convolution, (out, in) of others."""
        return self.source[self.rows] if self.rows.stop - self.rows.start < len(self.source) else self.source

    @property
    def channel_groups(self) -> int:
        """The number of groups among which input channels are divided; heads all see the same."""
        return 1 if self.part else self.groups

    @property
    def bias(self) -> torch.Tensor | None:
        """b, in its parameter's memory, (out,); None if there is none."""
        name = "in_proj_bias" if isinstance(self.module, nn.MultiheadAttention) else "bias"
        bias: torch.Tensor | None = getattr(self.module, name)
        if bias is None or len(bias) == len(self.source):
            return None if bias is None else bias[self.rows]
        return bias.chunk(len(PROJECTIONS))[PROJECTIONS.index(self.part.role)] if self.part else bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it to its input."""
        if isinstance(self.module, nn.MultiheadAttention):
            return functional.linear(x, self.weight, self.bias)
        output: torch.Tensor = self.module.forward(x)  # without the user's hooks
        return output

    def of_output(self, output: torch.Tensor, channels: slice) -> torch.Tensor:
        """Return these channels of an output, along its last axis."""
        return output.movedim(self.axis, -1)[..., channels]

    def grouped(self, weight: torch.Tensor) -> torch.Tensor:
        """Return what holds W as (groups, rows of each group, inputs)."""
        return weight.detach()[self.rows].reshape(self.groups, self.filters, -1)

    @property
    def geometry(self) -> dict[str, Any]:
        """What is stored with its feature matrices, in types that HDF5 takes."""
        own = ("kernel_size", "stride", "padding", "dilation") if hasattr(self.module, "kernel_size") else ()
        common = {"shape": self.shape, "groups": self.groups, "rows": self.rows.stop - self.rows.start}
        return common | {key: getattr(self.module, key) for key in own}


def studied_maps(network: nn.Module) -> dict[str, LinearMap]:
    """Return the maps that experiments are about, by name, in the network's order.

    They are those that the network's attribute `studied` selects, as `layers` does for `linear_maps`, if it has one.
    Otherwise they are the convolutions in two dimensions; or, where there is at most one, as for the patches of a
    transformer or a mixer, or a ``nn.MultiheadAttention``, all maps but the last, the head: as logits are its outputs,
    its AGOP is its NFM whatever was learned.
    """
    maps = linear_maps(network)
    if (selected := getattr(network, "studied", None)) is not None:
        return _selected(maps, selected, "network: studied")
    convolutions = {name: each for name, each in maps.items() if isinstance(each.module, nn.Conv2d)}
    if len(convolutions) > 1 and not any(each.part for each in maps.values()):
        return convolutions
    return dict(list(maps.items())[:-1]) or convolutions


def linear_maps(network: nn.Module, layers: Selection | None = None) -> dict[str, LinearMap]:
    """Return the linear maps of a network by name, in its order.

    Parameters
    ----------
    network : nn.Module
    layers : type, str, or sequence of them, optional
        Which of them: types of modules, such as ``nn.Linear``, and patterns of names, such as ``blocks.*.attention.q``;
        by default all.

    Returns
    -------
    dict of str to LinearMap
        Convolutions in one to three dimensions and linear layers, under the names of their modules. The queries, keys
        and values of a ``nn.MultiheadAttention``, each split by head, under its name and ``.q``, ``.k`` or ``.v``; its
        output projection is a linear layer. Embeddings are no maps: they see numbers of tokens, which have no gradient.

    Raises
    ------
    UserError
        If a type or a pattern fits none of them, or is neither.
    """
    maps = dict(_maps_of(network))
    return maps if layers is None else _selected(maps, layers, "layers")


def _selected(maps: Mapping[str, LinearMap], layers: Any, key: str) -> dict[str, LinearMap]:
    """Return the maps that a selection fits; errors name the key that holds it."""
    selection = [layers] if isinstance(layers, str | type) else layers
    if not isinstance(selection, list | tuple) or not selection:
        raise UserError(f"{key}: {layers!r} selects nothing; give types of modules or patterns of names")
    names: set[str] = set()
    for each in selection:
        if isinstance(each, str):
            fitting = [name for name in maps if fnmatchcase(name, each)]
        elif isinstance(each, type):
            fitting = [name for name, own in maps.items() if isinstance(own.module, each)]
        else:
            raise UserError(f"{key}: {each!r} is neither a type of modules nor a pattern of names")
        if not fitting:
            shown = repr(each) if isinstance(each, str) else each.__name__
            raise UserError(f"{key}: {shown} fits none of {listed(maps)}")
        names.update(fitting)
    return {name: own for name, own in maps.items() if name in names}


def _maps_of(network: nn.Module) -> Iterator[tuple[str, LinearMap]]:
    modules = dict(network.named_modules())
    for name, module in modules.items():
        if isinstance(module, nn.Linear):
            owner = name.rpartition(".")[0]
            attention = modules.get(owner)
            heads = attention.num_heads if isinstance(attention, nn.MultiheadAttention) else 0
            part = Part(owner, "out", heads) if heads else None
            yield name, LinearMap(module, "weight", slice(0, module.out_features), 1, -1, part)
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            axis = -1 - len(module.kernel_size)
            yield name, LinearMap(module, "weight", slice(0, module.out_channels), module.groups, axis)
        elif isinstance(module, nn.MultiheadAttention):
            size = module.embed_dim
            for position, letter in enumerate(PROJECTIONS):
                packed = module.in_proj_weight is not None
                first = position * size if packed else 0
                parameter = "in_proj_weight" if packed else f"{letter}_proj_weight"
                rows, part = slice(first, first + size), Part(name, letter, module.num_heads)
                yield f"{name}.{letter}".lstrip("."), LinearMap(module, parameter, rows, module.num_heads, -1, part)
