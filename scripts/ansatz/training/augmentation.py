"""Augmentation: training images that are flipped and shifted at random, on the device, a batch at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import pad

from ansatz.data.batches import Images
from ansatz.training.config import Augmentation, TrainingConfig


def augmented_batches(
    images: Images, order: torch.Tensor, config: TrainingConfig, *, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of images, each of which is changed as is drawn for it from the seed.

    What is drawn for an image depends neither on the order nor on the batches.

    Parameters
    ----------
    images : Images
    order : Tensor
        Indices of the images, (n,).
    config : TrainingConfig
        Its `batch_size` and `augment` are used.
    seed : int
        A seed for each epoch.

    Yields
    ------
    images, labels : Tensor
        As from `Images.batches`.
    """
    size, augmentation = config.batch_size, config.augment
    if augmentation == Augmentation():
        yield from images.batches(size, order)
        return
    moves = draw_moves(len(images), augmentation, seed)[order].to(images.device).split(size)
    for (x, y), move in zip(images.batches(size, order), moves, strict=False):  # nothing is split into one empty tensor
        yield moved(x, move, augmentation.crop), y


def draw_moves(count: int, augmentation: Augmentation, seed: int) -> torch.Tensor:
    """Return for each image whether it is flipped (0 or 1), and the pixels by which it is shifted down and right.

    Returns
    -------
    Tensor
        int64 (count, 3).
    """
    rng = np.random.default_rng(seed)
    flips = rng.integers(0, 2, (count, 1)) * augmentation.flip
    shifts = rng.integers(-augmentation.crop, augmentation.crop, (count, 2), endpoint=True)
    return torch.from_numpy(np.hstack([flips, shifts]))


def moved(x: torch.Tensor, moves: torch.Tensor, crop: int) -> torch.Tensor:
    """Flip images from left to right and then shift them; what they leave is filled with zeros.

    Parameters
    ----------
    x : Tensor
        (n, channels, height, width).
    moves : Tensor
        int64 (n, 3), as from `draw_moves`, on the same device.
    crop : int
        The largest shift.

    Returns
    -------
    Tensor
        (n, channels, height, width), channels last in memory.
    """
    n, _, height, width = x.shape
    flips, down, right = moves.view(n, 3, 1).unbind(1)  # (n, 1) each
    rows = torch.arange(height, device=x.device) - down  # (n, height)
    columns = torch.arange(width, device=x.device) - right  # (n, width)
    columns = torch.where(flips > 0, width - 1 - columns, columns)  # (n, width)
    image = torch.arange(n, device=x.device).view(n, 1, 1)
    padded = pad(x, (crop, crop, crop, crop)).movedim(1, -1)  # (n, height + 2 crop, width + 2 crop, channels)
    pixels = padded[image, crop + rows.unsqueeze(2), crop + columns.unsqueeze(1)]  # (n, height, width, channels)
    return pixels.movedim(-1, 1)
