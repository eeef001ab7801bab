"""Small networks and datasets to train in a moment."""

import numpy as np
import torch
from torch import nn

from ansatz.data.batches import on_device
from ansatz.files.dataset import Dataset, Part

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")


def made_dataset(**sizes):
    """Return a dataset of grey 8x8 images in three classes that can be told apart; a part of each size."""
    rng = np.random.default_rng(0)
    means = rng.integers(40, 200, (len(CLASSES), 1, 8, 8))

    def part(n):
        labels = rng.integers(0, len(CLASSES), n)
        images = np.clip(means[labels] + rng.normal(0, 40, (n, 1, 8, 8)), 0, 255).astype(np.uint8)
        return Part(images, labels)

    parts = {name: part(size) for name, size in sizes.items()}
    return Dataset("made", CLASSES, np.array([0.5]), np.array([0.25]), parts, "fingerprint")


def made_images(memory=None, **sizes):
    """Return the parts of such a dataset on the CPU."""
    return on_device(made_dataset(**sizes), size=8, channels=1, device=CPU, memory=memory)


def made_network():
    """Return a network for such images."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(216, 3))
