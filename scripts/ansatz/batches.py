"""Images on the device, as uint8: gathered, resized and normalised there, a batch at a time."""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import interpolate

from ansatz.errors import UserError
from ansatz.seeds import stream
from ansatz.store import Dataset, Part

LOG = logging.getLogger(__name__)


def take_device(name: str, threads: int) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, and let the CPU use so many threads.

    Raises
    ------
    UserError
        If it is a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(threads)
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {name} is not there; this machine has {torch.cuda.device_count()} GPUs for it")
    LOG.info("device: %s", torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {threads} threads")
    return device


class Images:
    """Labelled images on a device.

    Parameters
    ----------
    part : Part
        uint8 images (N, C, H, W), int64 labels (N,).
    mean, std : ndarray
        What to normalise with, on the scale 0..1; (C,). A channel that does not vary is only shifted.
    size : int
        Side of the square images that batches hold, in pixels.
    channels : int
        Their channels; grey images are repeated over them.
    device : torch.device

    Raises
    ------
    UserError
        If colour images are to be given to a network of one input channel.
    """

    def __init__(
        self, part: Part, mean: np.ndarray, std: np.ndarray, *, size: int, channels: int, device: torch.device
    ) -> None:
        found = part.images.shape[1]
        if found not in (1, channels):
            raise UserError(f"network: in_channels: {channels}, but the images have {found}; give it {found}")
        self.images = torch.from_numpy(np.ascontiguousarray(part.images)).to(device)  # (N, C, H, W) uint8
        self.labels = torch.from_numpy(part.labels).to(device)  # (N,)
        self.size, self.channels = size, channels
        spread = torch.from_numpy(np.where(std > 0, std, 1.0))
        self.scale = (1 / (255 * spread)).float().view(-1, 1, 1).to(device)  # (C, 1, 1)
        self.shift = (torch.from_numpy(mean) / spread).float().view(-1, 1, 1).to(device)  # (C, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: torch.Tensor | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images at `indices`, float32 (n, channels, size, size), and their labels (n,)."""
        x = self.images[indices].float()  # (n, C, H, W)
        side = (self.size, self.size)
        if x.shape[2:] != side:
            shrinks = min(x.shape[2:]) > self.size  # as torchvision: smoothed when shrunk, never when enlarged
            x = interpolate(x, side, mode="bilinear", antialias=shrinks)  # (n, C, size, size)
        x = x * self.scale - self.shift
        return x.expand(-1, self.channels, -1, -1), self.labels[indices]

    def sample(self, count: int, seed: int) -> torch.Tensor:
        """Return the indices of `count` images at most, drawn without repetition, in random order."""
        return torch.from_numpy(np.random.default_rng(seed).permutation(len(self))[:count]).to(self.labels.device)

    def batches(self, size: int, order: torch.Tensor | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches of `size` images (the last one may be smaller): those of `order` (n,), or all as they stand."""
        for start in range(0, len(self if order is None else order), size):
            part = slice(start, start + size)
            yield self.batch(part if order is None else order[part])


def on_device(data: Dataset, *, size: int, channels: int, device: torch.device) -> dict[str, Images]:
    """Put a dataset's parts on a device.

    Parameters
    ----------
    data : Dataset
    size, channels, device
        As for `Images`.

    Returns
    -------
    dict of str to Images
        The dataset's parts, and ``train_eval``: a fixed random part of the training images, as large as the validation
        part (all of them where there is none), on which the training loss is compared with the validation loss.
    """
    train = data.parts["train"]
    count = min(len(train), len(data.parts.get("validation", train)))
    chosen = np.random.default_rng(stream(0, "train_eval")).permutation(len(train))[:count]
    parts = {**data.parts, "train_eval": train.subset(np.sort(chosen))}
    return {
        name: Images(part, data.mean, data.std, size=size, channels=channels, device=device)
        for name, part in parts.items()
    }
