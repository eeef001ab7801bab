"""Tasks: images and labels for machines, from a dataset, or with a signal that is hidden in noise.

The tasks are those of Beaglehole, Radhakrishnan, Pandit and Belkin (2023), section 3, after Karp, Winston, Li and Singh
(2021). Images are float32 and not standardized; those of a dataset are scaled to 0..1.
"""

from typing import Annotated

import numpy as np
from annotated_types import Interval

from ansatz.errors import UserError
from ansatz.files.dataset import Dataset
from ansatz.machines.task import Task
from ansatz.registry import task
from ansatz.seeds import derive_seed

BAR = (16, 32)  # rows and columns of an image with a bar
Noise = Annotated[float, Interval(ge=0, le=1_000_000)]


@task
def images(data: Dataset, train: int, test: int, seed: int) -> Task:
    """Return images of a dataset as they are; training images are from its training and validation parts."""
    return Task(*_sample(data, ("train", "validation"), train, seed), *_sample(data, ("test",), test, seed))


@task
def framed(
    data: Dataset,
    train: int,
    test: int,
    seed: int,
    *,
    noise: Noise = 0.0,
    frame: Annotated[int, Interval(ge=1, le=1024)] = 42,
) -> Task:
    """Return images of a dataset, each at a random position in a square of noise.

    With the same seed, all levels of noise have the same images at the same positions in multiples of the same noise.

    Parameters
    ----------
    noise : float
        Level of the noise, whose variance is noise / 4.
    frame : int
        Side of the square, in pixels.
    """
    plain = images(data, train, test, seed)
    parts = ((plain.x_train, plain.y_train, "train"), (plain.x_test, plain.y_test, "test"))
    framed_parts: list[np.ndarray] = []
    for x, y, part in parts:
        n, channels, *sides = x.shape
        if frame < max(sides):
            raise UserError(f"frame: {frame} px is smaller than the images of {data.name}, {max(sides)} px")
        rng = np.random.default_rng(derive_seed(seed, f"frame of {part}"))
        canvases = rng.standard_normal((n, channels, frame, frame), np.float32) * np.float32(0.5 * noise**0.5)
        offsets = rng.integers(0, np.array([frame - side + 1 for side in sides]), (n, 2))
        for canvas, image, (row, column) in zip(canvases, x, offsets, strict=True):
            canvas[:, row : row + sides[0], column : column + sides[1]] = image
        framed_parts += [canvases, y]
    return Task(*framed_parts)


@task(of_dataset=False)
def bars(data: None, train: int, test: int, seed: int, *, noise: Noise = 0.0) -> Task:
    """Return grey images of noise, 16x32, with one constant row of norm 1, whose sign is the class.

    With the same seed, all levels of noise have the same bars in multiples of the same noise.

    Parameters
    ----------
    noise : float
        Level of the noise, whose variance is noise / 32.
    """
    rows, columns = BAR
    parts: list[np.ndarray] = []
    for n, part in ((train, "train"), (test, "test")):
        rng = np.random.default_rng(derive_seed(seed, f"bars of {part}"))
        x = rng.standard_normal((n, 1, rows, columns), np.float32) * np.float32((noise / columns) ** 0.5)
        y, row = rng.integers(0, 2, n), rng.integers(0, rows, n)
        x[np.arange(n), 0, row] = ((2 * y - 1) / columns**0.5)[:, None]
        parts += [x, y]
    return Task(*parts)


def _sample(data: Dataset, names: tuple[str, ...], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images of some parts of a dataset, scaled to 0..1, and their labels."""
    key = names[0]
    if "test" not in data.parts:  # a small dataset has none, and its validation part is used
        names = ("validation",) if names == ("test",) else ("train",)
    parts = [data.parts[name] for name in names]
    available = sum(map(len, parts))
    if count > available:
        raise UserError(f"{key}: {count} is more than the {available} images of {' and '.join(names)} of {data.name}")
    chosen = np.random.default_rng(derive_seed(seed, f"{names[0]} images")).permutation(available)[:count]
    starts = np.cumsum([0, *map(len, parts)])
    samples = [
        part.subset(chosen[(start <= chosen) & (chosen < start + len(part))] - start)
        for part, start in zip(parts, starts[:-1], strict=True)
    ]
    x = np.concatenate([part.images for part in samples]).astype(np.float32) / 255
    return x, np.concatenate([part.labels for part in samples])
