"""The network that a training starts from, which extractions build again."""

import numpy as np
import pytest
import torch

from ansatz.data.batches import on_device
from ansatz.files.dataset import Dataset, Part
from ansatz.initializers.initial import initial_network

NETWORK = {"name": "vgg11", "width": 0.0625, "in_channels": 3}


def dataset(parts):
    pool = np.random.default_rng(0).integers(0, 256, (90, 1, 8, 8), dtype=np.uint8)
    split = {"train": np.arange(0, 90, 3), "validation": np.arange(1, 90, 3), "test": np.arange(2, 90, 3)}
    chosen = {name: Part(pool, np.zeros(90, np.int64)).subset(split[name]) for name in parts}
    return Dataset("made", ("a", "b"), np.full(1, 0.5), np.full(1, 0.3), chosen, "")


def network_of(name, data, seed=0):
    images = on_device(data, size=32, channels=3, device=torch.device("cpu"))["train"]
    initializer = {"name": name, "options": {}, "covariance": {}}
    return initial_network(NETWORK, 2, initializer, seed=seed, images=images).state_dict()


@pytest.mark.parametrize("name", ["lsuv", "whitening", "normal+lsuv"])
def test_only_training_images_and_the_seed_determine_the_network(name):
    data = dataset(["train", "validation", "test"])
    trained, extracted, other = network_of(name, data), network_of(name, dataset(["train"])), network_of(name, data, 1)
    data.parts["train"].pool[1::3] = 255
    data.parts["train"].pool[2::3] = 255
    shown = network_of(name, data)
    assert all(torch.equal(value, trained[key]) for key, value in extracted.items())
    assert all(torch.equal(value, trained[key]) for key, value in shown.items())
    assert not torch.equal(trained["features.0.weight"], other["features.0.weight"])
