"""Initializers of transformers, and what all others make of the layers of an attention."""

import math

import pytest
import torch
from torch import nn

from ansatz import registry
from ansatz.data.batches import Tensors
from ansatz.errors import UserError
from ansatz.features.extraction import extract
from ansatz.features.inputs import LayerInputs, output_stds
from ansatz.features.matrix import nfm
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.maps import linear_maps, studied_maps
from initializer_checks import ERRORS

pytestmark = pytest.mark.usefixtures("one_thread")
BLOCK = "encoder.layers.encoder_layer_0."


def transformer(seed=0, heads=2, depth=2, width=0.125):
    return build("vit", 3, seed=seed, heads=heads, depth=depth, width=width, image_size=8)


def images(n=40):
    return Tensors(torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 3, 2**30)


def matrices_of(network):
    return extract(
        ["nfm", "agop", "centred_nfm"],
        network,
        images=images(),
        estimator={"sample_size": 8},
        initial=build_like(network),
    )


def build_like(network):
    return transformer(seed=9, heads=network.encoder.layers[0].num_heads)


@pytest.mark.parametrize("suffix", ["", "+lsuv"])
@pytest.mark.parametrize("name", registry.definitions("initializer"))
def test_every_initializer_fills_every_layer_of_a_transformer(name, suffix):
    """Weights are finite and not zero, biases are 0, and head, class token, positions and norms stay as they were."""
    network, source = transformer(), transformer(seed=1)
    layers = studied_maps(network)
    parameters = {id(each.source) for each in layers.values()} | {
        id(getattr(each.module, bias))
        for each in layers.values()
        for bias in ("bias", "in_proj_bias")
        if hasattr(each.module, bias)
    }
    others = {key: value for key, value in network.named_parameters() if id(value) not in parameters}
    before = {key: value.detach().clone() for key, value in others.items()}
    with torch.no_grad():
        for each in layers.values():
            each.weight.fill_(math.nan)
            each.bias.fill_(1)
    initialize(network, name, seed=0, unit_variance=bool(suffix), matrices=matrices_of(source), images=images())
    for layer, each in layers.items():
        assert each.weight.isfinite().all(), layer
        assert each.weight.any(), layer
        assert not each.bias.any(), layer
    assert {"class_token", "heads.head.weight", "encoder.ln.weight"} < set(others)
    assert all(torch.equal(value, before[key]) for key, value in others.items())


def test_the_truncated_normal_ends_at_two_deviations():
    weight = torch.empty(400, 500)
    registry.find("initializer", "trunc_normal").object(weight, torch.Generator().manual_seed(0), std=0.1)
    assert weight.abs().max() <= 0.2
    assert weight.std().item() == pytest.approx(0.1 * 0.8796, rel=5e-3)  # of a normal cut at 2


def products(network, letters, head=None):
    """Return ``W_a.T @ W_b`` of the first attention, of one head; of values and outputs ``W_v.T @ W_out.T``."""
    maps = linear_maps(network)
    first, second = (maps[f"{BLOCK}self_attention.{letter}"] for letter in letters)
    size = len(first.weight) // first.part.heads
    rows = slice(None) if head is None else slice(head * size, (head + 1) * size)
    other = second.weight if second.part.role != "out" else second.weight.mT
    return (first.weight[rows].mT @ other[rows]).detach()


def test_mimetic_attention_is_what_the_paper_says():
    """W_q.T W_k is near alpha Z + beta I, at the rank of a head; W_v.T W_out.T is alpha Z - beta I exactly."""
    network = transformer(heads=2, width=2)  # 256 channels
    initialize(network, "mimetic", seed=0)
    channels = 256
    value = products(network, ["v", "out_proj"])
    assert value.diagonal().mean().item() == pytest.approx(-0.4, abs=0.4 * ERRORS / channels)
    rest = value + 0.4 * torch.eye(channels)
    assert rest.std().item() == pytest.approx(0.4 / math.sqrt(channels), rel=0.02)
    for head in range(2):
        product = products(network, "qk", head)
        s = torch.linalg.svdvals(product)
        assert (s > 1e-4 * s[0]).sum() == channels // 2
        assert product.diagonal().mean() > 0.3, "of the identity, the part of that rank"
        query, key = (
            linear_maps(network)[f"{BLOCK}self_attention.{letter}"].weight[head * 128 : (head + 1) * 128]
            for letter in "qk"
        )
        torch.testing.assert_close(query.norm(dim=1), key.norm(dim=1))  # singular values are divided evenly
    assert not torch.allclose(products(network, "qk", 0), products(network, "qk", 1), atol=0.1)


def test_mimetic_attention_keeps_what_its_rank_allows():
    """Whatever alpha and beta: with one head, nothing is lost."""
    network = transformer(heads=1)
    initialize(network, "mimetic", seed=0, options={"alpha_qk": 0, "beta_qk": 0.7, "alpha_vo": 0, "beta_vo": 0.4})
    torch.testing.assert_close(products(network, "qk"), 0.7 * torch.eye(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(products(network, ["v", "out_proj"]), -0.4 * torch.eye(8), atol=1e-5, rtol=0)


def test_mimetic_attention_has_as_many_inputs_as_channels():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(4, 2, kdim=6, vdim=6), nn.Linear(4, 2)

    with pytest.raises(UserError, match="mimetic: an attention has 6 inputs for 4 channels"):
        initialize(Crossed(), "mimetic", seed=0)


def test_joint_draws_keep_what_scores_consist_of():
    """The mean of W_q.T W_k over draws is the source's, in each head; of independent draws it is zero."""
    source, drawn = transformer(seed=1), transformer()
    with torch.no_grad():
        for each in studied_maps(source).values():
            each.weight.mul_(3)
    matrices = {"nfm": nfm(source, list(studied_maps(source)))}
    expected = heads_products(source)
    for name, factor in (("nfm_joint", 1), ("nfm", 0)):
        samples = []
        for seed in range(300):
            initialize(drawn, name, seed=seed, matrices=matrices)
            samples.append(heads_products(drawn))
        samples = torch.stack(samples).double()
        errors = (samples.mean(0) - factor * expected).abs() / (samples.std(0) / math.sqrt(len(samples)))
        assert errors.max() < ERRORS, name


def heads_products(network):
    return torch.stack([products(network, "qk", head) for head in range(2)])


def test_joint_draws_have_the_scale_of_the_source():
    source, drawn = transformer(seed=1, width=2), transformer(width=2)
    matrices = {"nfm": nfm(source, list(studied_maps(source)))}
    initialize(drawn, "nfm_joint", seed=0, matrices=matrices)
    for layer, each in studied_maps(drawn).items():
        own, given = each.weight.norm().item(), studied_maps(source)[layer].weight.norm().item()
        assert own == pytest.approx(given, rel=0.1), layer


def test_inputs_and_outputs_are_those_of_each_layer():
    """Against hooks, where there are modules; queries, keys and values see the normalised tokens."""
    network, shown = transformer(), images()
    block, seen = network.encoder.layers[0], {}
    block.ln_1.register_forward_hook(lambda _, __, z: seen.update(ln=z))
    block.mlp[3].register_forward_hook(lambda _, x, z: seen.update(mlp=x[0], out=z))
    attention, stds = f"{BLOCK}self_attention", output_stds(network, shown, 0)
    tokens = {letter: list(LayerInputs(network, f"{attention}.{letter}", shown, 0)) for letter in "qkv"}
    for letter, (x,) in tokens.items():
        own = seen["ln"] if x.shape == seen["ln"].shape else seen["ln"].transpose(0, 1)
        torch.testing.assert_close(x, own, msg=letter)
    (hidden,) = LayerInputs(network, f"{BLOCK}mlp.3", shown, 0)
    torch.testing.assert_close(hidden, seen["mlp"])
    assert list(stds) == list(studied_maps(network))
    assert stds[f"{BLOCK}mlp.3"] == pytest.approx(seen["out"].std(correction=0).item(), rel=1e-4)
    each = studied_maps(network)[f"{attention}.k"]
    expected = (seen["ln"] @ each.weight.mT + each.bias).std(correction=0).item()
    assert stds[f"{attention}.k"] == pytest.approx(expected, rel=1e-4)
    for layer in stds:
        assert LayerInputs(network, layer, shown, 0).output_std() == pytest.approx(stds[layer], rel=1e-4)
        patches = torch.cat(list(LayerInputs(network, layer, shown, 0).patches()), dim=1)
        assert patches.shape[2] == studied_maps(network)[layer].weight[0].numel()


def test_the_scale_of_the_source_is_that_of_its_filters_also_when_resized():
    """Patches of three channels from grey ones: each has the source's variance a pixel."""
    source = build("vit", 3, seed=1, in_channels=1, heads=2, depth=1, width=2, image_size=8)
    drawn = build("vit", 3, seed=0, heads=2, depth=1, width=2, image_size=8)
    matrices = {"nfm": nfm(source, list(studied_maps(source)))}
    initialize(drawn, "nfm_joint", seed=0, matrices=matrices, resize="channels")
    assert drawn.conv_proj.weight.std().item() == pytest.approx(source.conv_proj.weight.std().item(), rel=0.05)


def test_heads_draw_from_as_many_heads():
    matrices = {"nfm": nfm(transformer(heads=2), list(studied_maps(transformer(heads=2))))}
    drawn = build("vit", 3, seed=0, heads=4, depth=2, width=1 / 16, image_size=8)
    with pytest.raises(UserError, match=r"self_attention\.q has 2 heads, but .*self_attention\.q has 4; each draws"):
        initialize(drawn, "nfm", seed=0, matrices=matrices)


def test_a_source_that_is_not_finite_is_told():
    source = transformer(seed=1)
    with torch.no_grad():
        source.conv_proj.weight[0, 0, 0, 0] = math.nan
    with pytest.raises(UserError, match="the nfm of layer conv_proj is not finite; has the network diverged"):
        initialize(transformer(), "nfm", seed=0, matrices={"nfm": nfm(source, list(studied_maps(source)))})
