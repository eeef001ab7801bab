"""Read single pictures, as images for a network."""

from pathlib import Path

import numpy as np
import torch

from ansatz.data.conventions import PHOTOGRAPHS
from ansatz.data.decoding import decode_image
from ansatz.errors import UserError
from ansatz.files.dataset import Part


def read_image(picture: str | Path | int, part: Part | None = None, *, size: int, channels: int) -> torch.Tensor:
    """Return the middle of a picture, as an image for a network.

    Parameters
    ----------
    picture : path or int
        An image file, rotated as its camera recorded; one of `PHOTOGRAPHS`; or the number of an image of `part`.
    part : Part, optional
        The training images, for pictures by number.
    size : int
        Side of the square, in pixels. The picture is cropped to a square and then resized, smoothed where it shrinks.
    channels : int
        1 for grey, 3 for colour.

    Returns
    -------
    Tensor
        uint8 (1, channels, size, size).

    Raises
    ------
    UserError
        If the file cannot be read or decoded, or the part has no such image.
    """
    from PIL import Image, ImageOps

    if isinstance(picture, int):
        if part is None or picture >= len(part):
            count = len(part or [])
            raise UserError(f"pictures: there is no training image {picture}; there are {count}, numbered from 0")
        image = Image.fromarray(np.moveaxis(part.subset(np.array([picture])).images[0], 0, -1).squeeze())
    elif picture in PHOTOGRAPHS:
        from sklearn.datasets import load_sample_image

        image = Image.fromarray(load_sample_image(f"{picture}.jpg"))
    else:
        image = ImageOps.exif_transpose(decode_image(picture))
    square = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)  # the filter that batches are resized with
    pixels = np.array(square.convert("L" if channels == 1 else "RGB"))  # (size, size) or (size, size, 3)
    return torch.from_numpy(pixels.reshape(1, size, size, channels)).movedim(3, 1)  # (1, channels, size, size)
