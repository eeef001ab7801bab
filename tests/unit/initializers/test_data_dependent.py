"""Initializers that look at training images, against their definitions written plainly in float64."""

import numpy as np
import pytest
import torch

from ansatz import registry
from ansatz.data.batches import Tensors
from ansatz.errors import UserError
from ansatz.features.inputs import LayerInputs, batch
from ansatz.features.matrix import nfm
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.layers import conv_layers
from initializer_checks import CHANNELS, ERRORS, SIDE, covariance_errors, filters_of, images, source

NEED_IMAGES = [name for name, each in registry.definitions("initializer").items() if each.declared.get("needs_images")]
WITHOUT = [name for name in registry.definitions("initializer") if name not in NEED_IMAGES]


def photographs(n=40, channels=3):
    return Tensors(torch.randn(n, channels, 32, 32) + 1, torch.zeros(n, dtype=torch.int64), 2**30)


def small_vgg(name, **arguments):
    network = build("vgg11", 10, seed=0, width=0.0625)
    initialize(network, name, seed=0, **arguments)
    return network


def output_deviations(network, shown, seed=0):
    """Return the standard deviation of each convolution's outputs, in float64."""
    network, outputs = network.double().eval(), {}
    for layer, conv in conv_layers(network).items():
        conv.register_forward_hook(lambda _conv, _x, z, layer=layer: outputs.update({layer: z.detach().clone()}))
    network(torch.cat(list(batch(shown, seed))).double())
    return [z.std(correction=0).item() for z in outputs.values()]


def patches_of(shown, groups=1, seed=0):
    """Return every patch of 3 x 3 pixels of the batch, one by one: float64 (groups, n, patch)."""
    x = torch.cat(list(batch(shown, seed))).double()  # (n, channels, side, side)
    places = range(x.shape[2] - SIDE + 1)
    patches = [x[:, :, i : i + SIDE, j : j + SIDE].unflatten(1, (groups, CHANNELS)) for i in places for j in places]
    return torch.cat(patches).transpose(0, 1).flatten(2)


@pytest.mark.parametrize("name", ["kaiming_nfm", "normal", "lsuv", "dirac"])
def test_lsuv_gives_the_outputs_of_every_layer_variance_1(name):
    shown, network = photographs(), build("vgg11", 10, seed=0, width=0.0625)
    matrices = {"nfm": nfm(build("vgg11", 10, seed=1, width=0.0625))}
    initialize(network, name, seed=0, images=shown, matrices=matrices, unit_variance=name != "lsuv")
    assert output_deviations(network, shown) == pytest.approx([1] * 8, rel=1e-3)


def test_lsuv_changes_nothing_but_the_scale_of_a_layer():
    shown = photographs()
    plain, scaled = (small_vgg("normal", images=shown, unit_variance=scales) for scales in (False, True))
    for layer, conv in conv_layers(scaled).items():
        ratio = conv.weight / conv_layers(plain)[layer].weight
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-5, atol=0)
    assert torch.equal(scaled.classifier[0].weight, plain.classifier[0].weight)


def test_lsuv_starts_from_orthogonal_filters():
    weights = filters_of("lsuv", filters=8)[0].double()
    gram = weights @ weights.T
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-5)


def test_lsuv_refuses_outputs_without_variance():
    still = Tensors(torch.zeros(4, 3, 32, 32), torch.zeros(4, dtype=torch.int64), 2**30)
    with pytest.raises(UserError, match=r"lsuv cannot scale layer features\.0, whose outputs have deviation 0\.0"):
        small_vgg("normal", images=still, unit_variance=True)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("filters", [4, 24, 60])
def test_whitening_whitens_the_patches_of_the_images(groups, filters):
    """Outputs of the eigenvectors' filters are uncorrelated with second moment s / (s + epsilon), s the eigenvalue."""
    shown, epsilon, patch = images(groups), 0.1, CHANNELS * SIDE**2
    weights = filters_of("whitening", groups=groups, filters=filters, shown=shown, epsilon=epsilon).double()
    patches = patches_of(shown, groups)
    for group in range(groups):
        moment = (patches[group].T @ patches[group] / len(patches[group])).numpy()
        values = np.linalg.eigvalsh(moment)[::-1].copy()
        count = min(filters, patch)
        rows = weights[group, :count].numpy()
        expected = np.diag(values / (values + epsilon))[:count, :count]
        np.testing.assert_allclose(rows @ moment @ rows.T, expected, atol=1e-4)
        np.testing.assert_allclose(rows @ rows.T, np.diag(1 / (values + epsilon))[:count, :count], atol=1e-3)
    negatives = weights[:, patch : 2 * patch]
    assert torch.equal(negatives, -weights[:, : negatives.shape[1]])
    if filters > 2 * patch:
        outputs = patches @ weights[:, 2 * patch :].mT
        assert outputs.square().mean().item() == pytest.approx(1, rel=0.2)


def test_whitening_leaves_the_other_layers_to_dirac():
    shown = photographs()
    whitened, identity = (conv_layers(small_vgg(name, images=shown)) for name in ("whitening", "dirac"))
    different = [layer for layer in whitened if not torch.equal(whitened[layer].weight, identity[layer].weight)]
    assert different == ["features.0"]


@pytest.mark.parametrize("groups", [1, 3])
def test_patch_covariance_is_the_second_moment_of_the_patches_at_trace_2(groups):
    shown = images(groups)
    patches = patches_of(shown, groups)
    moment = patches.mT @ patches
    expected = 2 * moment / moment.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    errors = covariance_errors(filters_of("patch_covariance", groups=groups, shown=shown), expected)
    assert errors.max() < ERRORS


def test_patch_covariance_refuses_a_layer_that_sees_nothing():
    still = Tensors(torch.zeros(4, 3, 32, 32), torch.zeros(4, dtype=torch.int64), 2**30)
    with pytest.raises(UserError, match=r"patch_covariance: layer features\.0 sees zeros only"):
        small_vgg("patch_covariance", images=still)


@pytest.mark.parametrize("name", NEED_IMAGES)
def test_what_a_layer_sees_does_not_depend_on_the_layers_behind_it(name):
    shown = photographs()
    network = small_vgg(name, images=shown)
    again = build("vgg11", 10, seed=0, width=0.0625)
    again.load_state_dict(network.state_dict())
    initialize(again, name, seed=0, images=shown)
    for layer, conv in conv_layers(network).items():
        assert torch.equal(conv_layers(again)[layer].weight, conv.weight), layer


@pytest.mark.parametrize("name", NEED_IMAGES)
def test_images_are_required(name):
    with pytest.raises(UserError, match=f"initializer: {name} needs a batch of training images"):
        small_vgg(name)


def test_images_are_required_to_scale_outputs():
    with pytest.raises(UserError, match="initializer: unit_variance needs a batch of training images"):
        small_vgg("normal", unit_variance=True)


@pytest.mark.parametrize("name", WITHOUT)
def test_an_initializer_that_needs_no_images_reads_none(name, monkeypatch):
    def read(*_arguments):
        raise AssertionError("reads images")

    monkeypatch.setattr(LayerInputs, "__iter__", read)
    monkeypatch.setattr(Tensors, "batches", read)
    assert torch.equal(filters_of(name, filters=4, matrices=source()), filters_of(name, filters=4, matrices=source()))


@pytest.mark.parametrize("name", NEED_IMAGES)
def test_two_images_are_enough(name):
    network = small_vgg(name, images=photographs(2))
    assert all(conv.weight.isfinite().all() for conv in conv_layers(network).values())
