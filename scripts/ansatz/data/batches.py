"""Batches of images: stored as uint8, normalised and resized on the device, a batch at a time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch.nn.functional import interpolate

from ansatz.devices import working_memory
from ansatz.errors import UserError
from ansatz.files.dataset import Dataset, Part
from ansatz.seeds import derive_seed

Normalisation = Mapping[str, Sequence[float]]
STREAMED = 2**26  # bytes that are read ahead where images do not fit on the device


class Images:
    """Labelled images for a network.

    Parameters
    ----------
    pool : Tensor
        uint8 (M, C, H, W): on the device; or mapped from a file and streamed, where it takes more than `memory`.
    part : Part
        The rows of the pool, and their labels.
    mean, std : ndarray
        Of each channel, on the scale 0..1; (C,). A channel that does not vary is only shifted.
    size : int
        Side of the square images in a batch, in pixels.
    channels : int
        Their channels; grey images are repeated over them.
    device : torch.device
    memory : int
        Bytes that the pool may take on the device, and that the results of a batch may, where its size is free.

    Raises
    ------
    UserError
        If colour images meet a network of one input channel.
    """

    def __init__(
        self,
        pool: torch.Tensor,
        part: Part,
        mean: np.ndarray,
        std: np.ndarray,
        *,
        size: int,
        channels: int,
        device: torch.device,
        memory: int,
    ) -> None:
        colours = pool.shape[1]
        if colours not in (1, channels):
            raise UserError(f"network.in_channels: {channels}, but the images have {colours}; set it to {colours}")
        self.pool, self.device, self.memory = pool, device, memory
        self.rows = torch.arange(len(pool))[part.rows].to(pool.device)  # (N,)
        self.labels = torch.from_numpy(part.labels).to(device)  # (N,)
        self.size, self.channels = size, channels
        spread = torch.from_numpy(np.where(std > 0, std, 1.0))
        self.scale = (1 / (255 * spread)).float().view(-1, 1, 1).to(device)  # (C, 1, 1)
        self.shift = (torch.from_numpy(mean) / spread).float().view(-1, 1, 1).to(device)  # (C, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, seed: int) -> torch.Tensor:
        """Return the indices of `count` images, or of all where there are fewer, drawn without replacement."""
        return torch.from_numpy(np.random.default_rng(seed).permutation(len(self))[:count])

    def batches(self, size: int, order: torch.Tensor | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches of `size` images; the last may have fewer.

        Parameters
        ----------
        size : int
        order : Tensor, optional
            Indices of the images (n,), each at least 0; by default all images, in order.

        Yields
        ------
        images : Tensor
            float32 (size, channels, self.size, self.size), channels last in memory.
        labels : Tensor
            int64 (size,).
        """
        order = torch.arange(len(self)) if order is None else order
        if not len(order):
            return
        streamed = self.pool.nbytes > self.memory
        chunk = size * max(1, STREAMED // (size * self.pool[0].nbytes)) if streamed else size
        rows = self.rows[order.to(self.rows.device)].split(chunk)
        labels = self.labels[order.to(self.device)].split(chunk)
        chunks = (self.pool[indices] for indices in rows)  # (chunk, C, H, W) uint8
        for x, y in zip(self._streamed(chunks) if streamed else chunks, labels, strict=True):
            yield from zip(map(self._prepared, x.split(size)), y.split(size), strict=True)

    def _streamed(self, chunks: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Read each chunk while the previous one is used; pinned memory lets the copy to a GPU overlap as well."""
        pinned = (chunk.pin_memory() for chunk in chunks) if self.device.type == "cuda" else chunks
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(next, pinned, None)
            while (chunk := upcoming.result()) is not None:
                upcoming = reader.submit(next, pinned, None)
                yield chunk.to(self.device, non_blocking=True)

    def _prepared(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise and then resize, as images are mostly enlarged and have fewer pixels before."""
        x = x.to(torch.float32, memory_format=torch.channels_last) * self.scale - self.shift  # (n, C, H, W)
        side = (self.size, self.size)
        if x.shape[2:] != side:
            shrinks = min(x.shape[2:]) > self.size  # like torchvision, smooth when shrinking and not when enlarging
            x = interpolate(x, side, mode="bilinear", antialias=shrinks)  # (n, C, size, size)
        return x.expand(-1, self.channels, -1, -1).contiguous(memory_format=torch.channels_last)


class Tensors(Images):
    """Labelled images that are normalised and of the right size already; they need not be square.

    Parameters
    ----------
    x : Tensor
        (n, channels, height, width), on the device.
    y : Tensor
        int64 (n,).
    memory : int
        As for `Images`.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, memory: int) -> None:
        self.pool, self.labels, self.rows = x, y, torch.arange(len(x), device=x.device)
        self.device, self.memory, self.size = x.device, memory, math.isqrt(math.prod(x.shape[2:]))

    def _prepared(self, x: torch.Tensor) -> torch.Tensor:
        return x


def normalised(
    image: torch.Tensor, data: Dataset, *, size: int, channels: int, normalisation: Normalisation | None = None
) -> torch.Tensor:
    """Return an image, uint8 (1, C, H, W), normalised like those of a dataset: float32 (1, channels, size, size)."""
    part, (mean, std) = Part(image.numpy(), np.zeros(1, np.int64)), _statistics(data, normalisation)
    images = Images(image, part, mean, std, size=size, channels=channels, device=image.device, memory=image.nbytes)
    x, _ = next(images.batches(1))
    return x


def on_device(
    data: Dataset,
    *,
    size: int,
    channels: int,
    device: torch.device,
    memory: int | None = None,
    normalisation: Normalisation | None = None,
) -> dict[str, Images]:
    """Put a dataset's parts on a device.

    Parameters
    ----------
    data : Dataset
    size, channels, device
        As for `Images`.
    memory : int, optional
        As for `Images`; by default `ansatz.devices.working_memory`. Images that take more stay in their file and are
        streamed from it, in the same batches. On the CPU all images stay mapped from their file.
    normalisation : mapping, optional
        ``mean`` and ``std`` of each channel, or one for all, on the scale 0..1; by default those of the dataset.

    Returns
    -------
    dict of str to Images
        The dataset's parts, and ``train_eval``: a fixed random sample of the training images, as large as the
        validation part (all of them where there is none), to compare training and validation loss in evaluation mode.
    """
    memory = working_memory(device) if memory is None else memory
    train = data.parts["train"]
    count = min(len(train), len(data.parts.get("validation", train)))
    chosen = np.random.default_rng(derive_seed(0, "train_eval")).permutation(len(train))[:count]
    parts = {**data.parts, "train_eval": train.subset(np.sort(chosen))}
    distinct = {id(part.pool): torch.from_numpy(part.pool) for part in parts.values()}  # parts share pools
    pools = {key: pool if pool.nbytes > memory else pool.to(device) for key, pool in distinct.items()}
    mean, std = _statistics(data, normalisation)
    images = partial(Images, mean=mean, std=std, size=size, channels=channels, device=device, memory=memory)
    return {name: images(pools[id(part.pool)], part) for name, part in parts.items()}


def _statistics(data: Dataset, normalisation: Normalisation | None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel."""
    if normalisation is None:
        return data.mean, data.std
    return np.asarray(normalisation["mean"], np.float64), np.asarray(normalisation["std"], np.float64)
