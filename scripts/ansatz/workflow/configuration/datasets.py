"""Datasets: the options of each, and what is known of its size before it is read."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ansatz.registry import Definition
from ansatz.workflow.configuration.types import BOUNDED, Checksum, Either, Sparse, Text

SIZE = re.compile(r"([\d,]+) \+ ([\d,]+|–) \+ ([\d,]+|–)")  # training, validation and test images


class DatasetOptions(Sparse):
    """Where a dataset comes from, and how much of it is read."""

    folder: Text | None = Field(
        None,
        description="Images of your own: a folder with one folder per class, a train/val/test tree of such folders, "
        "a folder of images without classes (to look at, not to train on), or a .zip of any of them.",
    )
    size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description="Side, in pixels, to which images are resized when they are read; for images of your own, and for "
        "datasets whose images vary in size.",
    )
    limit: Annotated[int, Field(ge=3), BOUNDED] | None = Field(
        None, description="Read at most this many training images, and as many test images, for quick trials."
    )
    url: Annotated[str | dict[str, str], Either("an address, or a mapping of file to address")] | None = Field(
        None, description="Another address of the archive, or a mapping of file to address."
    )
    sha256: (
        Annotated[Checksum | dict[str, Checksum], Either("a SHA-256 of 64 digits, or a mapping of file to such")] | None
    ) = Field(None, description="Another SHA-256 of the archive, or a mapping of file to SHA-256.")


@dataclass(frozen=True)
class DatasetSize:
    """How many images the parts of a registered dataset have; 0 where there is no such part."""

    train: int
    validation: int
    test: int

    @classmethod
    def of(cls, definition: Definition) -> "DatasetSize | None":
        """Return the size that a dataset declares, such as ``images="60,000 + – + 10,000"``, if it does."""
        match = SIZE.fullmatch(str(definition.declared.get("images")))
        return cls(*(int(re.sub(r"\D", "", count) or 0) for count in match.groups())) if match else None
