"""What the layers of a network see of a batch of training images, before the network is trained."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import nn
from torch.nn.functional import pad, unfold
from torch.nn.modules.batchnorm import _BatchNorm

from ansatz.data.batches import Images
from ansatz.errors import UserError
from ansatz.features.following import Following, followed
from ansatz.networks.evaluation import evaluating, forward
from ansatz.networks.maps import LinearMap, studied_maps
from ansatz.seeds import derive_seed

BATCH = 256  # images
CHUNK = 64  # images that pass the network at once, without gradients: a training step of as many takes more memory
PIECE = 2**28  # bytes of patches at once; the same on every machine, as what is drawn for each piece depends on it


@dataclass(frozen=True)
class LayerInputs:
    """The inputs of a layer for a batch of training images, given the layers before it as they are now.

    Iterating yields them in chunks, on the images' device: of a convolution (n, channels, height, width), of other
    linear maps (..., channels). Each time anew, as together they may not fit into memory.

    Attributes
    ----------
    network : nn.Module
        On any device. It runs as in training, but without dropout: batch norms take the statistics of each chunk, and
        keep their own.
    layer : str
        The name of the layer, one of `ansatz.networks.maps.studied_maps`.
    images : Images
        The training images, of which `batch` draws some.
    seed : int
        The seed of the run.
    """

    network: nn.Module
    layer: str
    images: Images
    seed: int

    @property
    def map(self) -> LinearMap:
        """The layer itself."""
        return studied_maps(self.network)[self.layer]

    @torch.no_grad()
    def __iter__(self) -> Iterator[torch.Tensor]:
        with as_in_training(self.network, self.images.device):
            for x in batch(self.images, self.seed):
                yield self._input(x)

    def _input(self, x: torch.Tensor) -> torch.Tensor:
        stop = _Stop({self.layer: self.map})
        try:
            with followed(stop), stop:
                forward(self.network, x)
        except _Reached as reached:
            return cast(torch.Tensor, reached.args[0])
        raise UserError(f"initializer: layer {self.layer} does not run, so that it sees no images")

    def patches(self) -> Iterator[torch.Tensor]:
        """Yield the patches or tokens of the inputs, (groups, n, patch), in pieces; a patch is flattened like a filter.

        The queries, keys and values of an attention see the same tokens in all heads: for them there is one group.
        """
        module = self.map.module
        if isinstance(module, nn.Conv2d):
            yield from self._patches(module)
        elif isinstance(module, nn.Linear | nn.MultiheadAttention):
            for x in self:
                yield x.reshape(1, -1, x.shape[-1])
        else:
            raise UserError(
                f"initializer: layer {self.layer} is a {type(module).__name__}, whose patches are not known"
            )

    @torch.no_grad()
    def _patches(self, conv: nn.Conv2d) -> Iterator[torch.Tensor]:
        patch = conv.weight[0].numel()
        border, mode = conv._reversed_padding_repeated_twice, conv.padding_mode.replace("zeros", "constant")
        columns = partial(unfold, kernel_size=conv.kernel_size, dilation=conv.dilation, stride=conv.stride)
        for chunk in self:
            padded = pad(chunk, border, mode)
            for x in padded.split(max(1, PIECE // columns(padded[:1]).nbytes)):
                by_group = columns(x).unflatten(1, (conv.groups, patch))  # (n, groups, patch, positions)
                yield by_group.permute(1, 0, 3, 2).flatten(1, 2)  # (groups, n * positions, patch)

    @torch.no_grad()
    def output_std(self) -> float:
        """Return the standard deviation of the layer's outputs: over images, filters and positions."""
        sums = torch.zeros(3, dtype=torch.float64)
        for x in self:
            sums += _sums(self.map(x))
        return _std(sums)


@torch.no_grad()
def output_stds(network: nn.Module, images: Images, seed: int) -> dict[str, float]:
    """Return `LayerInputs.output_std` of every layer that runs, from one pass of the batch."""
    outputs = _Outputs(studied_maps(network))
    with as_in_training(network, images.device), followed(outputs), outputs:
        for x in batch(images, seed):
            forward(network, x)
    return {layer: _std(each) for layer, each in outputs.sums.items() if each[0]}


def batch(images: Images, seed: int) -> Iterator[torch.Tensor]:
    """Yield the batch that a seed draws of the images: `BATCH`, or all where there are fewer, in equal chunks."""
    order = images.sample(BATCH, derive_seed(seed, "batch"))
    chunks = -(-len(order) // CHUNK)
    for x, _ in images.batches(-(-len(order) // chunks), order):
        yield x


@contextmanager
def as_in_training(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Run a network as in training, on a device, but without dropout; then it is as it was.

    cuDNN does not choose its algorithms by timing them, so that every process that initializes a network gets the same.
    """
    home, timed = next(network.parameters()).device, torch.backends.cudnn.benchmark
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    with evaluating(network):
        try:
            torch.backends.cudnn.benchmark = False
            network.to(device)
            for norm in norms:
                norm.training, norm.track_running_stats = True, False
            yield
        finally:
            torch.backends.cudnn.benchmark = timed
            network.to(home)
            for norm in norms:
                norm.track_running_stats = True


class _Reached(Exception):  # noqa: N818  it ends a pass that has no error
    """A forward pass has reached a layer, whose input it holds."""


class _Stop(Following):
    """Ends a forward pass at a layer's input."""

    def observe(self, parts: Mapping[str, slice], x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        raise _Reached(x)


class _Outputs(Following):
    """Sums over the outputs of each layer."""

    def __init__(self, maps: Mapping[str, LinearMap]) -> None:
        super().__init__(maps)
        self.sums = {layer: torch.zeros(3, dtype=torch.float64) for layer in maps}

    def observe(self, parts: Mapping[str, slice], x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        for layer, channels in parts.items():
            self.sums[layer] += _sums(self.maps[layer].of_output(output, channels))
        return output


def _sums(z: torch.Tensor) -> torch.Tensor:
    """Return the number of entries, their sum and that of their squares: float64 (3,), on the CPU."""
    sums = torch.stack([z.sum(dtype=torch.float64), torch.linalg.vector_norm(z, dtype=torch.float64).square()])
    return torch.cat([torch.tensor([z.numel()], dtype=torch.float64), sums.cpu()])


def _std(sums: torch.Tensor) -> float:
    mean, square = sums[1:] / sums[0]
    return (square - mean.square()).clamp_min(0).sqrt().item()
