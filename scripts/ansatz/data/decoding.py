"""Decode image files."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ansatz.errors import UserError
from ansatz.files.dataset import Part

if TYPE_CHECKING:  # Pillow is imported where it is used, as few jobs need it
    import PIL.Image


def decode_image(path: str | Path) -> "PIL.Image.Image":
    """Return the picture in an image file, in RGB.

    Raises
    ------
    UserError
        If it cannot be read or decoded, or has more than 8 bits per channel.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            deep = file.mode.startswith(("I", "F"))
            image = file.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not an image that can be decoded ({error})") from error
    if deep:  # Pillow would clip it to white
        raise UserError(f"{path}: has more than 8 bits per channel; save it with 8")
    return image


def decode_images(samples: Iterable[tuple[Path, int]], size: int | None = None) -> Part:
    """Return the images of files with their labels, resized to `size` x `size` pixels where it is given.

    Raises
    ------
    UserError
        If an image cannot be decoded, or is of another size than the first.
    """
    images, labels = [], []
    first: tuple[str, int, int] | None = None
    for path, label in samples:
        image = decode_image(path)
        if size:
            image = image.resize((size, size))
        first = first or (path.name, *image.size)
        if image.size != first[1:]:
            raise UserError(
                f"{path}: {image.width}x{image.height} pixels, but {first[0]} has {first[1]}x{first[2]}; "
                "give the dataset a size, such as size: 64"
            )
        images.append(np.asarray(image))  # (H, W, 3)
        labels.append(label)
    return Part(np.stack(images).transpose(0, 3, 1, 2), np.array(labels))
