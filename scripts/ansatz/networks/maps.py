"""The linear maps of a network: convolutions, linear layers, and the queries, keys and values of attention heads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from ansatz.errors import UserError

Selection = Sequence[type[nn.Module] | str]  # of maps: types of their modules, and patterns of their names
CONVOLUTIONS: Selection = (nn.Conv2d,)
PROJECTIONS = "qkv"  # of an attention, in the order in which `in_proj_weight` holds them


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
    """

    module: nn.Module
    parameter: str
    rows: slice
    groups: int
    axis: int

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

    def grouped(self, weight: torch.Tensor) -> torch.Tensor:
        """Return what holds W as (groups, rows of each group, inputs)."""
        return weight.detach()[self.rows].reshape(self.groups, self.filters, -1)


def linear_maps(network: nn.Module, layers: Selection | None = None) -> dict[str, LinearMap]:
    """Return the linear maps of a network by name, in its order.

    Parameters
    ----------
    network : nn.Module
    layers : sequence of type or str, optional
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
        If a pattern fits no name.
    """
    maps, layers = dict(_maps_of(network)), [layers] if isinstance(layers, str) else layers
    for pattern in layers or ():
        if isinstance(pattern, str) and not any(fnmatchcase(name, pattern) for name in maps):
            raise UserError(f"layers: {pattern!r} fits none of {', '.join(maps)}")
    return {name: each for name, each in maps.items() if layers is None or _is_selected(name, each, layers)}


def _is_selected(name: str, each: LinearMap, layers: Iterable[type[nn.Module] | str]) -> bool:
    return any(
        fnmatchcase(name, selected) if isinstance(selected, str) else isinstance(each.module, selected)
        for selected in layers
    )


def _maps_of(network: nn.Module) -> Iterator[tuple[str, LinearMap]]:
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            yield name, LinearMap(module, "weight", slice(0, module.out_features), 1, -1)
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            axis = -1 - len(module.kernel_size)
            yield name, LinearMap(module, "weight", slice(0, module.out_channels), module.groups, axis)
        elif isinstance(module, nn.MultiheadAttention):
            size = module.embed_dim
            for position, letter in enumerate(PROJECTIONS):
                packed = module.in_proj_weight is not None
                first = position * size if packed else 0
                parameter = "in_proj_weight" if packed else f"{letter}_proj_weight"
                rows = slice(first, first + size)
                yield f"{name}.{letter}".lstrip("."), LinearMap(module, parameter, rows, module.num_heads, -1)
