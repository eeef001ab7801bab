"""Saliency against unfolded patches and dense matrices, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import unfold

from ansatz.features.matrix import FeatureMatrix, nfm
from ansatz.features.saliency import CHUNK_BYTES, saliency
from ansatz.networks.build import build
from ansatz.networks.layers import conv_layers
from ansatz.networks.maps import CONVOLUTIONS
from ansatz.reporting.figures.saliency import saliency_maps
from drawn_networks import networks


def saliency_by_definition(conv, x, matrix):
    """Unfold x, multiply each patch by the dense root, and sum the channels' norms."""
    geometry = {key: getattr(conv, key) for key in ("dilation", "padding", "stride")}
    patches = unfold(x, conv.kernel_size, **geometry)[0].unflatten(0, (conv.groups, -1))  # (groups, patch, positions)
    values, vectors = torch.linalg.eigh(matrix.dense())
    values = torch.where(values > 1e-12 * values[:, -1:], values, 0)  # whose root would be far larger than rounding is
    root = vectors * values.sqrt().unsqueeze(1) @ vectors.mT
    channels = (root @ patches).unflatten(1, (matrix.shape[0], -1))  # (groups, channels, pixels, positions)
    return channels.norm(dim=2).sum((0, 1)).view(conv(x).shape[2:])


@settings(max_examples=60)
@given(networks(), st.sampled_from([CHUNK_BYTES, 1]))
def test_saliency_is_what_the_definition_says(case, chunk_bytes):
    network, x = case
    matrices = nfm(network)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr("ansatz.features.saliency.CHUNK_BYTES", chunk_bytes)
        maps = saliency(network, x[:1], matrices)
        inputs = {"0": x[:1], "2": network[:2](x[:1].clone())}
        for layer, conv in conv_layers(network).items():
            expected = saliency_by_definition(conv, inputs[layer], matrices[layer])
            torch.testing.assert_close(maps[layer], expected, rtol=1e-9, atol=1e-9 * float(expected.max()))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_borders_are_padded_as_the_layer_pads_them(mode):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(2, 4, 3, padding="same", padding_mode=mode).double(), torch.randn(1, 2, 6, 6).double()
    padded = nn.functional.pad(x, (1, 1, 1, 1), mode)
    inside = nn.Conv2d(2, 4, 3).double()
    inside.load_state_dict(conv.state_dict())
    padded_by_layer = saliency(nn.Sequential(conv, nn.Flatten()), x, {"0": nfm(conv)[""]})["0"]
    torch.testing.assert_close(padded_by_layer, saliency_by_definition(inside, padded, nfm(conv)[""]).detach())


def test_the_network_is_left_as_it_was():
    network, x = build("vgg11", 3, seed=0, width=0.0625), torch.randn(1, 3, 32, 32)
    matrices, before = nfm(network, CONVOLUTIONS), {name: value.clone() for name, value in network.state_dict().items()}
    network[-1].eval()  # as a user may have left it
    with torch.inference_mode():
        maps = saliency(network, x, matrices)
    assert [module.training for module in (network, network[0], network[-1])] == [True, True, False]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert list(maps) == list(matrices)
    assert [values.shape[0] for values in maps.values()] == [32, 16, 8, 8, 4, 4, 2, 2]


def test_layers_without_a_matrix_and_layers_that_do_not_run_are_left_out():
    network, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1), nn.Flatten()), torch.randn(1, 1, 4, 4)
    network.aside = nn.Conv2d(1, 1, 1)
    network.forward = lambda x: network[:3](x)
    matrices = nfm(network)
    assert list(matrices) == ["0", "1", "aside"]
    assert list(saliency(network, x, {layer: matrices[layer] for layer in ("1", "aside")})) == ["1"]


def test_a_zero_matrix_has_no_saliency():
    network, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), torch.randn(1, 1, 4, 4)
    assert not saliency(network, x, {"0": nfm(network)["0"].scaled(0)})["0"].any()


def test_no_dense_matrix_is_made(monkeypatch):
    monkeypatch.setattr(FeatureMatrix, "dense", lambda self: pytest.fail("dense"))
    network = build("vgg11", 3, seed=0, width=0.125)
    saliency(network, torch.randn(1, 3, 32, 32), nfm(network))


def test_tokens_have_the_norms_of_what_their_feature_matrix_makes_of_them():
    """Summed over channels and heads, with the dense square root of each head's matrix; without the class token."""
    torch.manual_seed(0)
    network, x = build("vit", 3, seed=0, depth=1, heads=2, width=0.125, image_size=8), torch.randn(1, 3, 8, 8)
    block, seen = network.encoder.layers[0], {}
    block.ln_1.register_forward_hook(lambda _, __, z: seen.update(k=z))
    block.mlp[3].register_forward_hook(lambda _, inputs, __: seen.update(mlp=inputs[0]))
    layers = {name: f"encoder.layers.encoder_layer_0.{name}" for name in ("self_attention.k", "mlp.3")}
    matrices = nfm(network, list(layers.values()))
    maps = saliency(network, x, matrices)
    for name, key in (("self_attention.k", "k"), ("mlp.3", "mlp")):
        tokens, expected = seen[key][0, 1:].double(), torch.zeros(4, dtype=torch.float64)
        for dense in matrices[layers[name]].dense().double():
            values, vectors = torch.linalg.eigh(dense)
            root = vectors * values.clamp_min(0).sqrt() @ vectors.T
            expected += (tokens @ root).abs().sum(1)
        torch.testing.assert_close(maps[layers[name]].double(), expected.view(2, 2), rtol=1e-3, atol=1e-3)


def test_layers_that_see_the_image_as_a_whole_are_left_out():
    network, x = build("mlp", 3, seed=0, width=0.01, image_size=8), torch.randn(1, 3, 8, 8)
    assert saliency(network, x, nfm(network)) == {}
    assert saliency_maps(x[0].movedim(0, -1).numpy(), {"NFM": {}}).texts


def test_a_network_without_feature_matrices_has_no_saliency():
    assert saliency(nn.Flatten(), torch.randn(1, 1, 2, 2), {}) == {}
