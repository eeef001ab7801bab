"""AGOP of a vision transformer: the definition, a pass for each layer and head, against ours; and a training step."""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.func import jacrev, vmap
from torch.nn.functional import cross_entropy, linear, scaled_dot_product_attention

from ansatz.devices import take_device
from ansatz.features.agop import agop
from ansatz.networks.build import build
from benchmarks.measure import Row, Way, mark, side_by_side

SIDE, HEADS, BLOCKS = 224, 12, 12  # of ViT-B/16
MEASURED = (0, 6, 11)  # blocks on which the definition is measured, from which all others are extrapolated


def case(classes: int, images: int) -> tuple[nn.Module, torch.Tensor]:
    """Return a ViT-B/16 with random weights, also in its last layer, and images."""
    network = build("vit_b_16", classes, seed=0).eval()
    nn.init.normal_(network.heads.head.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    return network, torch.randn(images, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def block_of(
    block: nn.Module, tokens: torch.Tensor, moved: Callable[[str, torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Return a block's output (tokens, channels); `moved(kind, z)` may change the outputs of its maps."""
    attention, x = block.self_attention, block.ln_1(tokens)
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    q, k, v = (
        moved(kind, linear(x, weight, bias)).unflatten(-1, (HEADS, -1)).transpose(-3, -2)
        for kind, weight, bias in zip("qkv", weights, biases, strict=True)
    )
    mixed = scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2)
    tokens = tokens + moved("out", attention.out_proj(mixed))
    hidden = moved("mlp.0", block.mlp[0](block.ln_2(tokens)))
    return tokens + moved("mlp.3", block.mlp[3](block.mlp[1](hidden)))


def weight_of(block: nn.Module, kind: str, head: int) -> torch.Tensor:
    """Return the weight of a map, or of one of its heads."""
    if kind in "qkv":
        return block.self_attention.in_proj_weight.chunk(3)["qkv".index(kind)].chunk(HEADS)[head]
    return {"out": block.self_attention.out_proj, "mlp.0": block.mlp[0], "mlp.3": block.mlp[3]}[kind].weight


def definition(network: nn.Module, x: torch.Tensor, number: int, kind: str) -> torch.Tensor:
    """Return the AGOP of one map of a block, of its sixth head if it has heads: derivatives by the map's own input."""
    blocks, head = network.encoder.layers, 5
    with torch.no_grad():
        tokens = torch.cat([network.class_token.expand(len(x), -1, -1), network._process_input(x)], dim=1)
        tokens = network.encoder.pos_embedding + tokens
        for block in blocks[:number]:
            tokens = block(tokens)
    weight = weight_of(blocks[number], kind, head).detach()
    rows = slice(head * len(weight), (head + 1) * len(weight)) if kind in "qkv" else slice(None)

    def logits(change: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        def moved(this: str, z: torch.Tensor) -> torch.Tensor:
            if this != kind:
                return z
            parts = torch.zeros_like(z)
            parts[..., rows] = change @ weight.T
            return z + parts

        own = block_of(blocks[number], own, moved)
        for block in blocks[number + 1 :]:
            own = block_of(block, own, lambda _, z: z)
        return network.heads(network.encoder.ln(own)[0])

    change = torch.zeros(len(x), tokens.shape[1], weight.shape[1])
    total = torch.zeros(weight.shape[1], weight.shape[1])
    for one, own in zip(change.split(1), tokens.split(1), strict=True):
        gradients = vmap(jacrev(logits, chunk_size=10))(one, own).flatten(0, 2).detach()  # (classes * tokens, channels)
        total += gradients.T @ gradients
    return total / len(x)


def plain(classes: int, images: int) -> float:
    """Return the seconds per image of the definition for all layers and heads, extrapolated from a few of them."""
    network, x = case(classes, images)
    mark()
    seconds = 0.0
    for kind, maps in {"q": 3 * HEADS, "out": 1, "mlp.0": 1, "mlp.3": 1}.items():
        times = []
        for number in MEASURED:
            start = time.perf_counter()
            definition(network, x, number, kind)
            times.append(time.perf_counter() - start)
        seconds += statistics.mean(times) * maps * BLOCKS
    return seconds / images


def ours(classes: int, images: int, probes: int | None) -> float:
    """Return the seconds per image of ours, for all layers and heads."""
    take_device("cpu", os.cpu_count() or 1)
    network, x = case(classes, images)
    mark()
    start = time.perf_counter()
    agop(network, [x], probes=probes)
    return (time.perf_counter() - start) / images


def step(classes: int, images: int, times: int) -> float:
    """Return the seconds per image of so many forward and backward passes, as training has them."""
    take_device("cpu", os.cpu_count() or 1)
    network, x = case(classes, images)
    labels = torch.arange(images) % classes
    mark()
    start = time.perf_counter()
    for _ in range(times):
        cross_entropy(network(x), labels).backward()
    return (time.perf_counter() - start) / images


def rows() -> list[Row]:
    """Return the rows of the table."""
    what = "AGOP of all layers and heads of ViT-B/16, 224 px"
    exact = Way("10 outputs, exact; plain extrapolated from 12 of 469 maps", (ours, 10, 4, None), 100)
    probed = Way("1000 outputs, 32 probes; plain with 10 outputs, a hundredth of them", (ours, 1000, 4, 32), 1)
    table = side_by_side(what, (plain, 10, 1), exact, probed, n=1)
    passes = Way("8 probes, against 8 forward and backward passes", (ours, 1000, 4, 8), 1 / 1.5)
    return table + side_by_side(f"{what}, 1000 outputs", (step, 1000, 4, 8), passes, n=3, memory=2)


def largest_error(number: int, kind: str) -> float:
    """Return the largest entry of the difference between the definition's AGOP and ours, relative to the largest."""
    network, x = case(3, 1)
    names = {"out": "self_attention.out_proj"} | {letter: f"self_attention.{letter}" for letter in "qkv"}
    layer = f"encoder.layers.encoder_layer_{number}.{names.get(kind, kind)}"
    dense = agop(network, [x], layers=[layer])[layer].dense()
    expected = definition(network, x, number, kind)
    return float((dense[5 if kind in "qkv" else 0] - expected).abs().max() / expected.abs().max())


if __name__ == "__main__":
    for kind in ("q", "v", "out", "mlp.0", "mlp.3"):
        print(kind, *map(partial(largest_error, kind=kind), MEASURED))
