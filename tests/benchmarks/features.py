"""AGOP: the published way, layer by layer over unfolded patches, against ours."""

import os
import time
from collections.abc import Iterator

import torch
from torch import nn
from torch.func import jacrev, vmap
from torch.nn.functional import cosine_similarity, unfold

from ansatz.devices import take_device
from ansatz.features.agop import agop
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.layers import conv_layers
from ansatz.networks.maps import CONVOLUTIONS
from benchmarks.measure import Row, Way, alone, mark, side_by_side


def case(classes: int, size: int, images: int) -> tuple[nn.Module, torch.Tensor]:
    """Return a VGG11 of Kaiming's scale, so that activations do not shrink to ties in the pooling, and images."""
    network = build("vgg11", classes, seed=0).eval()
    initialize(network, "kaiming_normal", seed=0)
    return network, torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(0))


def published(network: nn.Module, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (layer, AGOP), from derivatives of the rest of the network by the layer's unfolded input, per image."""
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    for name, conv in conv_layers(network).items():
        position = int(name.rpartition(".")[2])
        rest = nn.Sequential(network.features[position + 1 :], network.avgpool, network.flatten, network.classifier)
        with torch.no_grad():
            before = network.features[:position](x)
        side, weight = before.shape[-1], conv.weight.detach().flatten(1)

        def logits(patches, conv=conv, rest=rest, side=side, weight=weight):
            z = patches @ weight.T + conv.bias  # (positions, out)
            return rest(z.T.reshape(1, -1, side, side))[0]

        total = torch.zeros(weight.shape[1], weight.shape[1])
        for patches in unfold(before, 3, padding=1).mT.split(1):  # (1, positions, patch)
            gradients = vmap(jacrev(logits, chunk_size=100))(patches).flatten(0, 2)  # (classes * positions, patch)
            total += gradients.detach().T @ gradients.detach()
        yield name, total / len(x)


def plain(classes: int, size: int, images: int) -> float:
    """Return the seconds per image of the published way."""
    network, x = case(classes, size, images)
    mark()
    start = time.perf_counter()
    for _ in published(network, x):
        pass
    return (time.perf_counter() - start) / images


def ours(classes: int, size: int, images: int, precision: str, probes: int | None = None) -> float:
    """Return the seconds per image of ours, after a first call, as in a program with many batches."""
    take_device("cpu", os.cpu_count() or 1)
    network, x = case(classes, size, images)
    mark()
    agop(network, [x], probes=probes, precision=precision, layers=CONVOLUTIONS)
    start = time.perf_counter()
    agop(network, [x], probes=probes, precision=precision, layers=CONVOLUTIONS)
    return (time.perf_counter() - start) / images


def largest_error(classes: int, size: int, images: int) -> float:
    """Return the largest relative error of a layer in float32, for a network without discontinuous derivatives.

    Where two values are equal up to rounding, ReLU and max-pooling may choose differently in two programs, which moves
    a whole gradient. With softplus and average pooling instead, only the rounding errors of the sums remain.
    """
    network, x = case(classes, size, images)
    for position, module in enumerate(network.features):
        if isinstance(module, nn.ReLU):
            network.features[position] = nn.Softplus()
        if isinstance(module, nn.MaxPool2d):
            network.features[position] = nn.AvgPool2d(2)
    ours = agop(network, [x], layers=CONVOLUTIONS)
    expected = published(network, x)
    return max(float((ours[layer].dense()[0] - matrix).norm() / matrix.norm()) for layer, matrix in expected)


def smallest_cosine(classes: int, size: int, images: int) -> float:
    """Return the smallest cosine of a layer in bfloat16 with the published way."""
    network, x = case(classes, size, images)
    ours = agop(network, [x], precision="bfloat16", layers=CONVOLUTIONS)
    flat = ((ours[layer].dense().flatten(), matrix.flatten()) for layer, matrix in published(network, x))
    return min(float(cosine_similarity(a.double(), b.double(), dim=0)) for a, b in flat)


def smallest_cosine_of_probes(classes: int, size: int, images: int, probes: int) -> float:
    """Return the smallest cosine of a layer's estimate with the exact AGOP, both in bfloat16."""
    take_device("cpu", os.cpu_count() or 1)
    network, x = case(classes, size, images)
    exact = agop(network, x.split(16), precision="bfloat16", layers=CONVOLUTIONS)
    estimate = agop(network, x.split(16), precision="bfloat16", probes=probes, layers=CONVOLUTIONS)
    flat = ((estimate[layer].dense().flatten(), matrix.dense().flatten()) for layer, matrix in exact.items())
    return min(float(cosine_similarity(a.double(), b.double(), dim=0)) for a, b in flat)


def rows() -> list[Row]:
    """Return the rows of the table."""
    ten, what = (10, 224, 2), "AGOP of VGG11, 224 px, 10 outputs, 2 images"
    ways = [
        Way("float32", (ours, *ten, "float32"), 12),
        Way("bfloat16", (ours, *ten, "bfloat16"), 40),
    ]
    table = side_by_side(what, (plain, *ten), *ways, n=3, memory=0.25)
    error, cosine = alone(largest_error, *ten)[0], alone(smallest_cosine, *ten)[0]
    table += [
        Row(
            f"{what}, float32: largest relative error of a layer (no choices)",
            "",
            f"{error:.1e}",
            "",
            "≤ 1e-4",
            error <= 1e-4,
        ),
        Row(f"{what}, bfloat16: smallest cosine of a layer", "", f"{cosine:.5f}", "", "≥ 0.999", cosine >= 0.999),
    ]
    what = "AGOP of VGG11, 64 px, 1000 outputs, an image"
    probed = Way("32 probes, bfloat16", (ours, 1000, 64, 16, "bfloat16", 32), 300)
    table += side_by_side(what, (plain, 1000, 64, 1), probed, n=1)
    cosine = alone(smallest_cosine_of_probes, 1000, 64, 64, 32)[0]
    what = "32 probes on 64 images: smallest cosine of a layer to the exact matrix"
    return [*table, Row(what, "", f"{cosine:.4f}", "", "≥ 0.99", cosine >= 0.99)]
