"""Weights in files: state dicts of several kinds, and files that hold none."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from ansatz.errors import UserError
from ansatz.networks.build import build
from ansatz.networks.weights import load_weights, normalisation_of, published_weights, save_weights


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_weights_are_read_back_as_they_were_written(tmp_path, ending):
    network, other = (build("vgg11", 2, seed=seed, width=0.05) for seed in (0, 1))
    path = tmp_path / f"weights.{ending}"
    save_weights(network, path) if ending == "pt" else save_file(network.state_dict(), path)
    load_weights(other, path)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"param_groups": []}},
        lambda state: {"model": state, "ema": None},
        lambda state: {"model": {name: value + 1 for name, value in state.items()}, "ema": prefixed(state, "module.")},
        lambda state: prefixed(state, "module."),
        lambda state: prefixed(state, "module._orig_mod."),
        lambda state: {"model_state_dict": prefixed(state, "_orig_mod.module.")},
        lambda state: {"n_averaged": torch.tensor(5), **prefixed(state, "module.")},
    ],
)
def test_a_state_dict_is_found_in_what_trainings_save(tmp_path, wrapped):
    network, other = (build("vgg11", 2, seed=seed, width=0.05) for seed in (0, 1))
    torch.save(wrapped(network.state_dict()), tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    assert torch.equal(other.features[0].weight, network.features[0].weight)


def test_a_network_may_have_a_part_named_module(tmp_path):
    """A prefix that some parameters lack is part of the others' names."""

    class Network(torch.nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            self.module, self.head = torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(2, 2)

    network, other = Network(0), Network(1)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    assert torch.equal(other.module.weight, network.module.weight)


def test_mismatching_shapes_are_named_layer_by_layer(tmp_path):
    torch.save({**build("vgg11", 3, seed=0, width=0.05).state_dict(), "extra": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError) as caught:
        load_weights(build("vgg11", 2, seed=0, width=0.05), tmp_path / "other.pt")
    assert "classifier.6.weight is 3x205, the network's is 2x205; classifier.6.bias is 3, the network's is 2" in str(
        caught.value
    )
    assert "extra is 2, the network's is missing" in str(caught.value)
    assert "\n" not in str(caught.value)


class Malicious:
    def __reduce__(self):
        return print, ("opened",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (Malicious(), "not a state dict that opens with weights_only"),
        ([1, 2], "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
        ({0: torch.zeros(3)}, "holds no state dict"),
        ({}, "holds no state dict"),
        ({"model": {"epoch": 3}}, "holds no state dict, but model; save network.state_dict()"),
        ({"a": torch.zeros(3).to_sparse()}, "a is a sparse tensor; save dense ones of real numbers"),
        ({"a": torch.zeros(3, device="meta")}, "a is a meta tensor"),
        ({"a": torch.zeros(3, dtype=torch.complex64)}, "a is a complex tensor"),
        (b"no checkpoint at all", "not a"),
        (None, "does not exist"),
    ],
)
def test_files_that_are_no_checkpoints_are_refused(tmp_path, capsys, content, expected):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=expected):
        load_weights(build("vgg11", 2, seed=0, width=0.05), path)
    assert "opened" not in capsys.readouterr().out


def test_a_flipped_bit_in_weights_is_found(tmp_path):
    path = tmp_path / "weights.pt"
    save_weights(build("vgg11", 2, seed=0, width=0.05), path)
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1  # in a tensor, which torch.load does not verify
    path.write_bytes(flipped)
    with pytest.raises(UserError, match=r"weights\.pt: is damaged \(.*data.*\); remove it and make it again$"):
        load_weights(build("vgg11", 2, seed=0, width=0.05), path)


def test_the_normalisation_of_weights_is_that_of_their_training():
    preset = models.VGG11_Weights.IMAGENET1K_V1.transforms()
    assert normalisation_of("VGG11_Weights.IMAGENET1K_V1") == {"mean": preset.mean, "std": preset.std}
    assert normalisation_of(None) is None
    assert normalisation_of({"mean": [0.5], "std": [1]}) == {"mean": [0.5], "std": [1]}


def test_weights_of_torchvision_are_found_by_name():
    archive = published_weights("VGG11_Weights.IMAGENET1K_V1")
    assert (archive.file, archive.sha256) == ("vgg11-8a719046.pth", "8a719046")
    with pytest.raises(UserError, match=r"torchvision has no 'VGG11_Weights\.V9'"):
        published_weights("VGG11_Weights.V9")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("alone", [False, True])
def test_weights_that_are_not_finite_are_refused(tmp_path, value, alone):
    network = build("lenet5", 3, seed=0, in_channels=1)
    with torch.no_grad():
        network.features[0].weight[0, 0, 0, 0] = value
    save_weights(network, tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"x\.pt: features\.0\.weight is not finite; has the network diverged\?$"):
        load_weights(network, tmp_path / "x.pt", layers_alone=alone)


def test_prefixes_are_taken_off_in_safetensors_too(tmp_path):
    network = build("lenet5", 3, seed=0, in_channels=1)
    save_file(prefixed(network.state_dict(), "module."), tmp_path / "x.safetensors")
    load_weights(build("lenet5", 3, seed=1, in_channels=1), tmp_path / "x.safetensors")
