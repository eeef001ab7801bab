"""What convolutions see of a batch of images, against plain forward passes in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from ansatz.data.batches import Images, Tensors, on_device
from ansatz.errors import UserError
from ansatz.features import inputs
from ansatz.features.inputs import BATCH, CHUNK, LayerInputs, batch, output_stds
from ansatz.files.dataset import Dataset, Part
from ansatz.networks.layers import conv_layers
from drawn_networks import networks


def images_of(x):
    return Tensors(x, torch.zeros(len(x), dtype=torch.int64), 2**30)


def patches_times_filters(conv, patches):
    """Return what a convolution without a bias puts out, as a set of rows (n * positions, out)."""
    filters = conv.weight.detach().reshape(conv.groups, -1, patches.shape[2])
    return (patches @ filters.mT).transpose(0, 1).flatten(1)  # (n * positions, groups * out/groups)


@settings(max_examples=30)
@given(networks())
def test_patches_times_filters_are_the_outputs(case):
    network, x = case
    for layer, conv in conv_layers(network).items():
        conv.bias = None
        seen = LayerInputs(network, layer, images_of(x), 0)
        outputs = torch.cat([conv.forward(chunk) for chunk in seen]).detach()  # (n, out, rows, columns)
        rows = patches_times_filters(conv, torch.cat(list(seen.patches()), dim=1))
        torch.testing.assert_close(rows, outputs.permute(0, 2, 3, 1).flatten(0, 2))
        assert seen.output_std() == pytest.approx(outputs.std(correction=0).item())
        assert output_stds(network, images_of(x), 0)[layer] == pytest.approx(seen.output_std())


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 1, (1, 0)])
def test_any_padding(mode, padding):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, (2, 3), padding=padding, padding_mode=mode, bias=False).double()
    x = torch.randn(4, 2, 5, 6, dtype=torch.float64)
    patches = torch.cat(list(LayerInputs(nn.Sequential(conv), "0", images_of(x), 0).patches()), dim=1)
    order = torch.cat(list(batch(images_of(torch.arange(4.0).view(4, 1, 1, 1)), 0))).flatten().long()
    outputs = conv(x[order]).detach().permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(patches_times_filters(conv, patches), outputs)


def test_pieces_of_patches_are_all_of_them(monkeypatch):
    torch.manual_seed(0)
    seen = LayerInputs(nn.Sequential(nn.Conv2d(2, 3, 3)), "0", images_of(torch.randn(9, 2, 5, 5)), 0)
    whole = torch.cat(list(seen.patches()), dim=1)
    monkeypatch.setattr(inputs, "PIECE", 2 * whole[:, :9].nbytes)
    pieces = list(seen.patches())
    assert [piece.shape[1] // 9 for piece in pieces] == [2, 2, 2, 2, 1]
    assert torch.equal(torch.cat(pieces, dim=1), whole)


def test_the_batch_is_of_training_images_drawn_from_the_seed():
    part = Part(np.arange(600, dtype=np.uint16).view(np.uint8).reshape(600, 2, 1, 1), np.zeros(600, np.int64))
    train, validation = np.arange(0, 600, 2), np.arange(1, 600, 2)
    parts = {name: part.subset(rows) for name, rows in (("train", train), ("validation", validation))}
    data = Dataset("made", ("a",), np.zeros(2), np.full(2, 1 / 255), parts, "")
    images = on_device(data, size=1, channels=2, device=torch.device("cpu"))["train"]

    def drawn(seed):
        pixels = torch.cat(list(batch(images, seed))).flatten(1)  # (n, 2), the low and the high byte of a row
        return (pixels[:, 0] + 256 * pixels[:, 1]).round().long().tolist()

    assert len(set(drawn(0))) == BATCH
    assert set(drawn(0)) <= set(train)
    assert drawn(0) == drawn(0)
    assert set(drawn(0)) != set(drawn(1))


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (CHUNK, [CHUNK]), (CHUNK + 1, [33, 32]), (1000, [CHUNK] * 4)])
def test_the_batch_comes_in_equal_chunks(count, sizes):
    assert [len(chunk) for chunk in batch(images_of(torch.randn(count, 1, 1, 1)), 0)] == sizes


def test_the_network_runs_as_in_training_without_dropout_and_stays_as_it_was():
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(), nn.Conv2d(2, 3, 1)).train()
    network[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = 7 + 3 * torch.randn(CHUNK, 2, 4, 4)
    (seen,) = LayerInputs(network, "2", images_of(x), 0)
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen.std((0, 2, 3)), torch.ones(2), rtol=1e-2, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == [True, False, True, True]
    assert network[0].track_running_stats
    assert not network[2]._forward_pre_hooks


@pytest.mark.parametrize("timed", [True, False])
def test_algorithms_are_not_chosen_by_timing_them(timed, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", timed)
    with inputs.as_in_training(nn.Conv2d(1, 1, 1), torch.device("cpu")):
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark == timed


def test_what_lies_behind_a_layer_is_not_run():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(1, 1))  # the last layer does not fit
    assert sum(map(len, LayerInputs(network, "0", images_of(torch.randn(5, 1, 2, 2)), 0))) == 5


def test_a_layer_that_does_not_run_is_refused():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.run, self.idle = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.run(x)

    images = images_of(torch.randn(5, 1, 2, 2))
    with pytest.raises(UserError, match="initializer: layer idle does not run, so that it sees no images"):
        LayerInputs(Idle(), "idle", images, 0).output_std()
    assert list(output_stds(Idle(), images, 0)) == ["run"]


def test_outputs_whose_squares_are_too_large_for_float32():
    x = torch.full((2, 1, 1, 1), 1e30)
    x[0] = -1e30
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    nn.init.ones_(network[0].weight)
    assert output_stds(network, images_of(x), 0)["0"] == pytest.approx(1e30)


def test_a_standard_deviation_of_infinite_outputs_is_no_number():
    images = images_of(torch.full((2, 1, 1, 1), 3e38))
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    nn.init.constant_(network[0].weight, 10)
    assert np.isnan(output_stds(network, images, 0)["0"])
    assert isinstance(images, Images)
