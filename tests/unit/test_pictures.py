"""Where layers look, and eigenvectors, against dense matrices and unfolded patches; pictures as networks take them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn.functional import unfold

from ansatz import feature_matrices as fm
from ansatz import pictures
from ansatz.errors import UserError
from ansatz.networks import build, conv_layers
from ansatz.store import Part
from drawn_networks import networks

PART = Part(np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4), np.array([0, 1]))


def by_definition(conv, x, matrix):
    """Unfold x, multiply each patch by the dense root, and sum the channels' norms."""
    geometry = {key: getattr(conv, key) for key in ("dilation", "padding", "stride")}
    patches = unfold(x, conv.kernel_size, **geometry)[0].unflatten(0, (conv.groups, -1))  # (groups, patch, positions)
    values, vectors = torch.linalg.eigh(matrix.dense())
    values = torch.where(values > 1e-12 * values[:, -1:], values, 0)  # whose root would be far larger than rounding is
    root = vectors * values.sqrt().unsqueeze(1) @ vectors.mT
    channels = (root @ patches).unflatten(1, (matrix.shape[0], -1))  # (groups, channels, pixels, positions)
    return channels.norm(dim=2).sum((0, 1)).view(conv(x).shape[2:])


@settings(max_examples=60)
@given(networks(), st.sampled_from([pictures.AT_ONCE, 1]))
def test_what_a_layer_looks_at_is_what_the_definition_says(case, at_once):
    network, x = case
    matrices = fm.nfm(network)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(pictures, "AT_ONCE", at_once)
        found = pictures.looked_at(network, x[:1], matrices)
        inputs = {"0": x[:1], "2": network[:2](x[:1].clone())}
        for layer, conv in conv_layers(network).items():
            expected = by_definition(conv, inputs[layer], matrices[layer])
            torch.testing.assert_close(found[layer], expected, rtol=1e-9, atol=1e-9 * float(expected.max()))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_borders_are_padded_as_the_layer_pads_them(mode):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(2, 4, 3, padding="same", padding_mode=mode).double(), torch.randn(1, 2, 6, 6).double()
    padded = nn.functional.pad(x, (1, 1, 1, 1), mode)
    inside = nn.Conv2d(2, 4, 3).double()
    inside.load_state_dict(conv.state_dict())
    found = pictures.looked_at(nn.Sequential(conv, nn.Flatten()), x, {"0": fm.nfm(conv)[""]})["0"]
    torch.testing.assert_close(found, by_definition(inside, padded, fm.nfm(conv)[""]).detach())


def test_the_network_is_left_as_it_was():
    network, x = build("vgg11", 3, seed=0, width=0.0625), torch.randn(1, 3, 32, 32)
    matrices, before = fm.nfm(network), {name: value.clone() for name, value in network.state_dict().items()}
    network[-1].eval()  # as a user may have left it
    with torch.inference_mode():
        found = pictures.looked_at(network, x, matrices)
    assert [module.training for module in (network, network[0], network[-1])] == [True, True, False]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert list(found) == list(matrices)
    assert [seen.shape[0] for seen in found.values()] == [32, 16, 8, 8, 4, 4, 2, 2]


def test_only_layers_with_a_matrix_that_the_image_passes_are_looked_at():
    network, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1), nn.Flatten()), torch.randn(1, 1, 4, 4)
    network.aside = nn.Conv2d(1, 1, 1)
    network.forward = lambda x: network[:3](x)
    matrices = fm.nfm(network)
    assert list(matrices) == ["0", "1", "aside"]
    assert list(pictures.looked_at(network, x, {layer: matrices[layer] for layer in ("1", "aside")})) == ["1"]


def test_a_zero_matrix_sees_nothing():
    network, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), torch.randn(1, 1, 4, 4)
    assert not pictures.looked_at(network, x, {"0": fm.nfm(network)["0"].scaled(0)})["0"].any()


def test_no_dense_matrix_is_made(monkeypatch):
    monkeypatch.setattr(fm.FeatureMatrix, "dense", lambda self: pytest.fail("dense"))
    network = build("vgg11", 3, seed=0, width=0.125)
    pictures.looked_at(network, torch.randn(1, 3, 32, 32), fm.nfm(network))


@settings(max_examples=20)
@given(networks())
def test_eigenvectors_are_those_of_the_dense_matrix(case):
    network, _ = case
    for matrix in fm.nfm(network).values():
        group, count = len(matrix.factor) - 1, min(matrix.factor.shape[1:])
        values, vectors = pictures.eigenvectors(matrix, count, group)
        dense = matrix.dense()[group].numpy()
        expected = np.linalg.eigvalsh(dense)[::-1][:count]
        np.testing.assert_allclose(values.numpy(), expected, rtol=1e-9, atol=1e-12 * expected[0])
        assert vectors.shape == (count, *matrix.shape)
        rows = vectors.flatten(1).numpy()
        np.testing.assert_allclose(rows @ rows.T, np.eye(count), atol=1e-9)
        np.testing.assert_allclose(rows @ dense, values.numpy()[:, None] * rows, atol=1e-9 * expected[0])
        assert (np.take_along_axis(rows, abs(rows).argmax(1)[:, None], 1) > 0).all()


def test_as_many_eigenvectors_as_asked_for():
    matrix = fm.nfm(nn.Conv2d(3, 8, 3))[""]
    assert pictures.eigenvectors(matrix, 5)[1].shape == (5, 3, 3, 3)
    assert len(pictures.eigenvectors(matrix, 50)[0]) == 8


# ------------------------------------------------------------------------------------------------- the picture
def test_the_middle_of_a_picture_is_read(tmp_path):
    wide = np.zeros((4, 10, 3), np.uint8)
    wide[:, 3:7] = [200, 100, 0]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.swapaxes(0, 1)).save(tmp_path / "high.png")
    for path in (tmp_path / "wide.png", str(tmp_path / "high.png")):
        square = pictures.read_image(path, size=4, channels=3)
        assert square.dtype == torch.uint8
        assert square.tolist() == [[[[colour] * 4] * 4 for colour in (200, 100, 0)]]
    assert pictures.read_image(path, size=6, channels=3).shape == (1, 3, 6, 6)


def test_a_picture_is_smoothed_where_it_shrinks_and_grey_for_one_channel(tmp_path):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    grey = pictures.read_image(tmp_path / "stripes.png", size=4, channels=1)
    assert grey.shape == (1, 1, 4, 4)
    assert (grey.int() - 127).abs().max() < 20


def test_a_picture_is_turned_as_its_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves = np.zeros((4, 4, 3), np.uint8)
    halves[:2] = 255
    Image.fromarray(halves).save(tmp_path / "turned.png", exif=exif)
    turned = pictures.read_image(tmp_path / "turned.png", size=4, channels=1)
    assert turned[0, 0, :, 0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("name", pictures.PHOTOGRAPHS)
def test_two_photographs_need_no_file(name):
    photograph = pictures.read_image(name, size=64, channels=3)
    assert photograph.shape == (1, 3, 64, 64)
    assert photograph.float().std() > 30


def test_what_is_no_picture_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(UserError, match=rf"{name}: not an image that can be decoded \(.*\)$") as caught:
            pictures.read_image(tmp_path / name, size=4, channels=3)
        assert "\n" not in str(caught.value)


def test_a_number_is_an_image_of_the_dataset():
    image = pictures.read_image(1, PART, size=4, channels=3)
    np.testing.assert_array_equal(image.numpy(), PART.images[1:])
    grey = Part(PART.pool[:, :1], PART.labels)
    np.testing.assert_array_equal(pictures.read_image(0, grey, size=4, channels=1).numpy(), grey.images[:1])
    assert pictures.read_image(0, grey, size=4, channels=3).shape == (1, 3, 4, 4)
    with pytest.raises(UserError, match="pictures: 2, but there are 2 training images; they count from 0"):
        pictures.read_image(2, PART, size=4, channels=3)
