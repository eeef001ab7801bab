"""The network that a training starts from, which extractions build again."""

import numpy as np
import pytest
import torch

from ansatz.data.batches import on_device
from ansatz.errors import UserError
from ansatz.files.dataset import Dataset, Part
from ansatz.initializers.initial import initial_network

NETWORK = {"name": "vgg11", "width": 0.0625, "in_channels": 3}


def dataset(parts):
    pool = np.random.default_rng(0).integers(0, 256, (90, 1, 8, 8), dtype=np.uint8)
    split = {"train": np.arange(0, 90, 3), "validation": np.arange(1, 90, 3), "test": np.arange(2, 90, 3)}
    chosen = {name: Part(pool, np.zeros(90, np.int64)).subset(split[name]) for name in parts}
    return Dataset("made", ("a", "b"), np.full(1, 0.5), np.full(1, 0.3), chosen, "")


def network_of(name, data, seed=0, *, unit_variance=False, **options):
    images = on_device(data, size=32, channels=3, device=torch.device("cpu"))["train"]
    initializer = {"name": name, "options": {}, "unit_variance": unit_variance, "covariance": {}}
    return initial_network(NETWORK, initializer, classes=2, seed=seed, images=images, **options).state_dict()


@pytest.mark.parametrize(("name", "unit_variance"), [("lsuv", False), ("whitening", False), ("normal", True)])
def test_only_training_images_and_the_seed_determine_the_network(name, unit_variance):
    data, scaled = dataset(["train", "validation", "test"]), {"unit_variance": unit_variance}
    trained, other = network_of(name, data, **scaled), network_of(name, data, 1, **scaled)
    extracted = network_of(name, dataset(["train"]), **scaled)
    data.parts["train"].pool[1::3] = 255
    data.parts["train"].pool[2::3] = 255
    shown = network_of(name, data, **scaled)
    assert all(torch.equal(value, trained[key]) for key, value in extracted.items())
    assert all(torch.equal(value, trained[key]) for key, value in shown.items())
    assert not torch.equal(trained["features.0.weight"], other["features.0.weight"])


def test_a_head_of_its_own_has_its_outputs_and_its_scale():
    """The convolutions are those of a network without it; a linear layer's weights are N(0, std²)."""
    data, head = dataset(["train"]), {"outputs": 1000, "std": 0.01}
    network, plain = network_of("normal", data, head=head), network_of("normal", data)
    assert torch.equal(network["features.3.weight"], plain["features.3.weight"])
    for layer in ("classifier.0", "classifier.3", "classifier.6"):
        weight = network[f"{layer}.weight"]
        assert abs(weight.std() / 0.01 - 1) < 5 / (2 * weight.numel()) ** 0.5
        assert network[f"{layer}.bias"].count_nonzero() == 0
    assert len(weight) == 1000
    assert not torch.equal(weight, network_of("normal", data, seed=1, head=head)["classifier.6.weight"])


def test_a_head_has_an_output_for_each_class():
    with pytest.raises(UserError, match="protocol: the head has 1 outputs, but there are 2 classes"):
        network_of("normal", dataset(["train"]), head={"outputs": 1, "std": 0.01})
