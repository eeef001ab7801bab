"""What the readers of datasets return."""

from dataclasses import dataclass, fields, replace

import numpy as np

from ansatz.errors import UserError
from ansatz.files.dataset import Part


@dataclass(frozen=True)
class RawDataset:
    """What a reader returns: class names, training images, and validation and test images where they exist.

    Without a validation part, the training images are split 80/20. Labels may be of any type; they are kept as int64.

    Raises
    ------
    UserError
        If images are not uint8 (N, C, H, W) of one shape, or labels are not one whole number below the number of
        classes for each image.
    """

    classes: list[str]
    train: Part
    validation: Part | None = None
    test: Part | None = None

    def __post_init__(self) -> None:
        """Check all parts; nothing that readers return is used unchecked."""
        parts = {field.name: part for field in fields(self) if isinstance(part := getattr(self, field.name), Part)}
        for name, part in parts.items():
            object.__setattr__(self, name, self._checked(name, part))
        shapes = {part.pool.shape[1:] for part in parts.values()}
        if len(shapes) > 1:
            listed = ", ".join(f"{name} {part.pool.shape[1:]}" for name, part in parts.items())
            raise UserError(f"the images of all parts must have one shape, (channels, height, width); it is {listed}")

    def _checked(self, name: str, part: Part) -> Part:
        pool, count = part.pool, len(part.pool) if isinstance(part.rows, slice) else len(part.rows)
        if pool.dtype != np.uint8 or pool.ndim != 4 or 0 in pool.shape[1:]:
            raise UserError(
                f"{name}: images are {pool.dtype} {pool.shape}; they must be an array of uint8 (N, C, H, W)"
            )
        labels = whole(part.labels)
        if labels.shape != (count,):
            raise UserError(f"{name}: {count} images, but labels {labels.shape}; each image must have one")
        out_of_range = np.flatnonzero((labels < 0) | (labels >= len(self.classes)))
        if len(out_of_range):
            first, right = out_of_range[0], f"{len(self.classes)} classes are numbered from 0"
            raise UserError(f"{name}: the label of image {first} is {labels[first]}, but {right}")
        return replace(part, labels=labels)


def whole(labels: np.ndarray) -> np.ndarray:
    """Return labels as int64.

    Raises
    ------
    UserError
        If they are not whole numbers.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iuf":
        raise UserError(f"labels are {labels.dtype}; they must be whole numbers")
    with np.errstate(invalid="ignore"):  # of nan, which is refused
        numbers = labels.astype(np.int64)
    if len(different := np.flatnonzero(numbers != labels)):
        raise UserError(f"the label of image {different[0]} is {labels.flat[different[0]]}; it must be a whole number")
    return numbers
