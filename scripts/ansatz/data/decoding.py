"""Decode image files."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ansatz.errors import UserError
from ansatz.files.dataset import Part
from ansatz.files.pools import OnDisk

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # others may have any depth, or start programs
BITS_PER_SAMPLE = 258  # a tag of TIFF

if TYPE_CHECKING:  # Pillow is imported where it is used, as few jobs need it
    import PIL.Image
    import PIL.ImageFile


def decode_image(path: str | Path) -> "PIL.Image.Image":
    """Return the picture in an image file, in RGB.

    Raises
    ------
    UserError
        If it cannot be read or decoded, or has more than 8 bits per channel.
    """
    from PIL import Image

    if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is no regular file")
    try:
        with Image.open(path, formats=FORMATS) as file:
            if _bits(file, Path(path)) > 8:  # Pillow would clip grey ones to white, and cut off colours' last bits
                raise UserError(f"{path}: has more than 8 bits per channel; save it with 8")
            return file.convert("RGB")
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Pillow raises any kind for a damaged file
        raise UserError(f"{path}: not an image that can be decoded ({error})") from error


def _bits(image: "PIL.ImageFile.ImageFile", path: Path) -> int:
    """Return how many bits a channel has in the file; Pillow's mode tells it only of grey images."""
    if image.mode.startswith(("I", "F")):
        return 16
    if image.format == "PNG":
        with open(path, "rb") as file:
            return file.read(25)[24]  # in the header, after a signature, a length, a name, width and height
    if image.format == "TIFF":
        return int(np.max(image.getexif().get(BITS_PER_SAMPLE, 1)))
    if image.format == "PPM":
        arguments = image.tile[0].args  # (mode, largest value); the mode alone, where that is 255
        return arguments[1].bit_length() if isinstance(arguments, tuple) else 8
    return 8


def decode_images(samples: Iterable[tuple[Path, int]], size: int | None = None) -> Part:
    """Return the images of files with their labels, resized to `size` x `size` pixels where it is given.

    Raises
    ------
    UserError
        If an image cannot be decoded, or is of another size than the first.
    """
    labels = []

    def images() -> Iterator[np.ndarray]:
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
            labels.append(label)
            yield np.asarray(image).transpose(2, 0, 1)[None]  # (1, 3, H, W)

    return Part(OnDisk(images()), np.array(labels))
