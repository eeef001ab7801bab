"""Images and labels for kernel machines: a dataset's, or with noise that only some of a picture's pixels rise above.

A task is one function with a decorator. Images are float32 and not normalised: a dataset's on the scale 0..1, as
Beaglehole, Radhakrishnan, Pandit and Belkin (2023), section 3, have them, after Karp, Winston, Li and Singh (2021).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ansatz.errors import UserError
from ansatz.seeds import stream
from ansatz.store import Dataset

BAR = (16, 32)  # rows and columns of an image with a bar


@dataclass(frozen=True)
class Task:
    """Images (n, channels, height, width), float32, and labels (n,), int64, to learn from and to be tested on."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


TASKS: dict[str, Callable[..., Task]] = {}


def task(make: Callable[..., Task]) -> Callable[..., Task]:
    """Register a task under its function's name.

    It is called with the dataset (None, where it takes none) and, by keyword, train, test, seed and what else of a
    configuration's section it takes.
    """
    TASKS[make.__name__] = make
    return make


@task
def images(data: Dataset, *, train: int, test: int, seed: int) -> Task:
    """Return images of a dataset as they are, those to learn from of its training and validation part."""
    return Task(*_sampled(data, ("train", "validation"), train, seed), *_sampled(data, ("test",), test, seed))


@task
def framed(data: Dataset, *, noise: float, frame: int, train: int, test: int, seed: int) -> Task:
    """Return a dataset's images, each anywhere in a square of noise, N(0, noise / 4), of `frame` pixels a side.

    For one seed, all levels of noise have the same images at the same places in multiples of the same noise.
    """
    plain = images(data, train=train, test=test, seed=seed)
    parts = ((plain.x_train, plain.y_train, "train"), (plain.x_test, plain.y_test, "test"))
    found = []
    for x, y, part in parts:
        n, channels, *sides = x.shape
        if frame < max(sides):
            raise UserError(f"frame: {frame} px, but the images of {data.name} have {max(sides)}")
        rng = np.random.default_rng(stream(seed, f"frame of {part}"))
        around = rng.standard_normal((n, channels, frame, frame), np.float32) * np.float32(0.5 * noise**0.5)
        offsets = rng.integers(0, np.array([frame - side + 1 for side in sides]), (n, 2))
        for canvas, image, (row, column) in zip(around, x, offsets, strict=True):
            canvas[:, row : row + sides[0], column : column + sides[1]] = image
        found += [around, y]
    return Task(*found)


@task
def bars(data: None, *, noise: float, train: int, test: int, seed: int) -> Task:
    """Return grey images of noise, N(0, noise / 32), in which one row of 16, of length 1, is white or black: the class.

    For one seed, all levels of noise have the same bars in multiples of the same noise.
    """
    rows, columns = BAR
    found = []
    for n, part in ((train, "train"), (test, "test")):
        rng = np.random.default_rng(stream(seed, f"bars of {part}"))
        x = rng.standard_normal((n, 1, rows, columns), np.float32) * np.float32((noise / columns) ** 0.5)
        y, row = rng.integers(0, 2, n), rng.integers(0, rows, n)
        x[np.arange(n), 0, row] = ((2 * y - 1) / columns**0.5)[:, None]
        found += [x, y]
    return Task(*found)


def _sampled(data: Dataset, names: tuple[str, ...], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    key = names[0]
    if "test" not in data.parts:  # a small dataset has none: then the validation part is it
        names = ("validation",) if names == ("test",) else ("train",)
    parts = [data.parts[name] for name in names]
    available = sum(map(len, parts))
    if count > available:
        raise UserError(f"{key}: {count} images, but {' and '.join(names)} of {data.name} have {available}")
    chosen = np.random.default_rng(stream(seed, f"{names[0]} images")).permutation(available)[:count]
    starts = np.cumsum([0, *map(len, parts)])
    some = [
        part.subset(chosen[(start <= chosen) & (chosen < start + len(part))] - start)
        for part, start in zip(parts, starts[:-1], strict=True)
    ]
    x = np.concatenate([part.images for part in some]).astype(np.float32) / 255
    return x, np.concatenate([part.labels for part in some])
