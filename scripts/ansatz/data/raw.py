"""What the readers of datasets return."""

from dataclasses import dataclass

from ansatz.files.dataset import Part


@dataclass(frozen=True)
class RawDataset:
    """What a reader returns: class names, training images, and validation and test images where they exist.

    Without a validation part, the training images are split 80/20.
    """

    classes: list[str]
    train: Part
    validation: Part | None = None
    test: Part | None = None
