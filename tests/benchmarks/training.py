"""Training speed: the study's loop, with PIL images and a DataLoader, against ours."""

import os
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets, models
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from ansatz.data.batches import Images, on_device
from ansatz.devices import take_device
from ansatz.files.dataset import Dataset, Part
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from benchmarks.measure import Row, Way, side_by_side

BATCH = 64
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Make images as CIFAR-10 has them: uint8 (count, 32, 32, 3), labels (count,)."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, count)


class Cifar(datasets.CIFAR10):
    """torchvision's dataset, with images that need no download."""

    def __init__(self, count: int, transform: Compose) -> None:
        self.data, labels = images(count)
        self.targets, self.transform, self.target_transform = labels.tolist(), transform, None


def plain(size: int, steps: int, device: str = "cpu") -> float:
    """Return the seconds per image of the plain loop, after its first step."""
    transform = Compose([Resize((size, size)), ToTensor(), Normalize(MEAN, STD)])
    workers = os.cpu_count() or 1
    data = Cifar(BATCH * (steps + 1), transform)
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers, multiprocessing_context="fork")
    network = models.vgg11(num_classes=10).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    total, start = 0.0, 0.0
    for step, (x, y) in enumerate(loader):
        if step == 1:
            start = time.perf_counter()
        optimizer.zero_grad()
        loss = cross_entropy(network(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
        total += loss.item()
    return (time.perf_counter() - start) / (BATCH * steps)


def ours(
    size: int,
    steps: int,
    precision: str,
    device: str = "cpu",
    batch: int = BATCH,
    deterministic: bool = False,
    memory: int | None = None,
    compile: bool | str = "auto",
) -> float:
    """Return the seconds per image of our training, in its second epoch."""
    network, parts = prepared(size, steps, device, batch, deterministic, memory)
    config = TrainingConfig(epochs=2, batch_size=batch, precision=precision, compile=compile)
    return 1 / Trainer(network, parts, config, seed=0).train().rows[1]["images_per_second"]


def prepared(
    size: int,
    steps: int,
    device: str = "cpu",
    batch: int = BATCH,
    deterministic: bool = False,
    memory: int | None = None,
) -> tuple[nn.Module, dict[str, Images]]:
    """Return an initialized network and its training images, on their device."""
    pool, labels = images(batch * steps)
    part = Part(np.ascontiguousarray(pool.transpose(0, 3, 1, 2)), labels)
    data = Dataset("made", tuple("abcdefghij"), np.array(MEAN), np.array(STD), {"train": part}, "")
    placed = take_device(device, os.cpu_count() or 1, deterministic=deterministic)
    network = build("vgg11", 10, seed=0)
    initialize(network, "kaiming_normal", seed=0)
    return network, {"train": on_device(data, size=size, channels=3, device=placed, memory=memory)["train"]}


def rows() -> list[Row]:
    """Return the rows of the table."""
    table = []
    for size, steps, target in ((32, 8, 2), (224, 2, 4)):
        ways = Way("float32", (ours, size, steps, "float32")), Way("bfloat16", (ours, size, steps, "bfloat16"), target)
        table += side_by_side(f"train VGG11 at {size} px", (plain, size, steps), *ways, n=3, rate="images/s")
    return table
