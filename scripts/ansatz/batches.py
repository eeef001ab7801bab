"""Images as uint8: gathered, normalised and resized on the device, a batch at a time."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch.nn.functional import interpolate

from ansatz.devices import working_memory
from ansatz.errors import UserError
from ansatz.seeds import stream
from ansatz.store import Dataset, Part

STREAMED = 2**26  # bytes that are read ahead where the images do not fit on the device


class Images:
    """Labelled images for a network.

    Parameters
    ----------
    pool : Tensor
        uint8 (M, C, H, W): on the device; or mapped from a file, to be streamed, where it takes more than `memory`.
    part : Part
        Which rows of the pool, and their labels.
    mean, std : ndarray
        What to normalise with, on the scale 0..1; (C,). A channel that does not vary is only shifted.
    size : int
        Side of the square images that batches hold, in pixels.
    channels : int
        Their channels; grey images are repeated over them.
    device : torch.device
    memory : int
        Bytes that the pool may take on the device, and what is computed from a batch, where its size is free.

    Raises
    ------
    UserError
        If colour images are to be given to a network of one input channel.
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
        found = pool.shape[1]
        if found not in (1, channels):
            raise UserError(f"network: in_channels: {channels}, but the images have {found}; give it {found}")
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
        """Return the indices of `count` images (or of all, where there are fewer), drawn without repetition."""
        return torch.from_numpy(np.random.default_rng(seed).permutation(len(self))[:count])

    def batches(self, size: int, order: torch.Tensor | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches of `size` images, of which the last may have fewer.

        Parameters
        ----------
        size : int
        order : Tensor, optional
            Indices (n,), each from 0 to the number of images; all as they stand, where it is not given.

        Yields
        ------
        images : Tensor
            float32 (size, channels, self.size, self.size), channels last in memory.
        labels : Tensor
            int64 (size,).
        """
        order = torch.arange(len(self)) if order is None else order
        streamed = self.pool.nbytes > self.memory
        chunk = size * max(1, STREAMED // (size * self.pool[0].nbytes)) if streamed else size
        rows = self.rows[order.to(self.rows.device)].split(chunk)
        labels = self.labels[order.to(self.device)].split(chunk)
        chunks = (self.pool[some] for some in rows)  # (chunk, C, H, W) uint8
        for x, y in zip(self._streamed(chunks) if streamed else chunks, labels, strict=True):
            yield from zip(map(self._prepared, x.split(size)), y.split(size), strict=True)

    def _streamed(self, chunks: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Read each chunk while the one before is used; from pinned memory, a copy to a GPU takes its own time too."""
        pinned = (chunk.pin_memory() for chunk in chunks) if self.device.type == "cuda" else chunks
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next, pinned, None)
            while (chunk := coming.result()) is not None:
                coming = reader.submit(next, pinned, None)
                yield chunk.to(self.device, non_blocking=True)

    def _prepared(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise and resize, in this order, as there are fewer pixels before an enlargement than after it."""
        x = x.to(torch.float32, memory_format=torch.channels_last) * self.scale - self.shift  # (n, C, H, W)
        side = (self.size, self.size)
        if x.shape[2:] != side:
            shrinks = min(x.shape[2:]) > self.size  # as torchvision: smoothed when shrunk, never when enlarged
            x = interpolate(x, side, mode="bilinear", antialias=shrinks)  # (n, C, size, size)
        return x.expand(-1, self.channels, -1, -1).contiguous(memory_format=torch.channels_last)


class Tensors(Images):
    """Labelled images that are as the network takes them already, of any sides.

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


def normalised(image: torch.Tensor, data: Dataset, *, size: int, channels: int) -> torch.Tensor:
    """Return an image, uint8 (1, C, H, W), as those of a dataset reach a network: float32 (1, channels, size, size)."""
    alone = Part(image.numpy(), np.zeros(1, np.int64))
    images = Images(
        image, alone, data.mean, data.std, size=size, channels=channels, device=image.device, memory=image.nbytes
    )
    x, _ = next(images.batches(1))
    return x


def on_device(
    data: Dataset, *, size: int, channels: int, device: torch.device, memory: int | None = None
) -> dict[str, Images]:
    """Put a dataset's parts on a device.

    Parameters
    ----------
    data : Dataset
    size, channels, device
        As for `Images`.
    memory : int, optional
        As for `Images`; by default as `ansatz.devices.working_memory` has it. Images that take more stay in their file
        and are streamed from it, to the same batches. On the CPU all are mapped from their file.

    Returns
    -------
    dict of str to Images
        The dataset's parts, and ``train_eval``: a fixed random part of the training images, as large as the validation
        part (all of them where there is none), on which the training loss is compared with the validation loss.
    """
    memory = working_memory(device) if memory is None else memory
    train = data.parts["train"]
    count = min(len(train), len(data.parts.get("validation", train)))
    chosen = np.random.default_rng(stream(0, "train_eval")).permutation(len(train))[:count]
    parts = {**data.parts, "train_eval": train.subset(np.sort(chosen))}
    distinct = {id(part.pool): torch.from_numpy(part.pool) for part in parts.values()}  # parts share pools
    pools = {key: pool if pool.nbytes > memory else pool.to(device) for key, pool in distinct.items()}
    of = partial(Images, mean=data.mean, std=data.std, size=size, channels=channels, device=device, memory=memory)
    return {name: of(pools[id(part.pool)], part) for name, part in parts.items()}
