"""What there is to see of feature matrices, as arrays: where a layer looks in an image, and the patches it looks for.

After Beaglehole, Radhakrishnan, Pandit and Belkin (2023), section 2.2. `ansatz.figures` draws them.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ansatz.datasets import decoded
from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix, frozen
from ansatz.networks import conv_layers, forward, patch_shape
from ansatz.store import Part

PHOTOGRAPHS = ("china", "flower")  # which come inside of scikit-learn
AT_ONCE = 2**24  # bytes of transformed patches: they stay near the processor


def read_image(picture: str | Path | int, part: Part | None = None, *, size: int, channels: int) -> torch.Tensor:
    """Return the middle of a picture, as a network takes it.

    Parameters
    ----------
    picture : path or int
        An image file, turned as its camera noted; or one of `PHOTOGRAPHS`, which need no file; or a number of `part`.
    part : Part, optional
        Of a dataset, for pictures by number.
    size : int
        Side of the square, in pixels; the picture is cut to a square and then resized, smoothed where it shrinks.
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
            raise UserError(f"pictures: {picture}, but there are {len(part or [])} training images; they count from 0")
        image = Image.fromarray(np.moveaxis(part.subset(np.array([picture])).images[0], 0, -1).squeeze())
    elif picture in PHOTOGRAPHS:
        from sklearn.datasets import load_sample_image

        image = Image.fromarray(load_sample_image(f"{picture}.jpg"))
    else:
        image = ImageOps.exif_transpose(decoded(picture))
    square = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)  # the filter that batches are resized with
    pixels = np.array(square.convert("L" if channels == 1 else "RGB"))  # (size, size) or (size, size, 3)
    return torch.from_numpy(pixels.reshape(1, size, size, channels)).movedim(3, 1)  # (1, channels, size, size)


@torch.no_grad()
def looked_at(
    network: nn.Module, image: torch.Tensor, matrices: Mapping[str, FeatureMatrix]
) -> dict[str, torch.Tensor]:
    """Return how much of an image each layer's feature matrix M lets through, place by place.

    Each patch v of the layer's input becomes ``M^(1/2) v``, whose length, as ``|M^(1/2) v|² = v.T M v``, says how much
    M sees in the patch. As in the paper it is taken over the pixels of each input channel, and summed over channels.

    Parameters
    ----------
    network : nn.Module
        Its convolutions are those of the matrices; put in evaluation mode meanwhile.
    image : Tensor
        (1, channels, height, width), normalised; on the network's device and of its type.
    matrices : mapping of str to FeatureMatrix
        By layer; on any device.

    Returns
    -------
    dict of str to Tensor
        By layer, in the order of `matrices`, (rows, columns) of the layer's *output*: one value for each patch that the
        layer itself sees, with its stride and padding, whose zeros are an edge like any other. Layers that the image
        does not pass are left out; one that it passes repeatedly has the last time's.
    """
    seen: dict[str, torch.Tensor] = {}

    def look(layer: str, conv: nn.Conv2d, inputs: tuple[torch.Tensor]) -> None:
        seen[layer] = _lengths(conv, inputs[0], _root(matrices[layer].factor).to(image))

    layers = conv_layers(network)
    with frozen(network), ExitStack() as undo:
        for layer in matrices:  # at its input, and at once: in-place operations that follow may change it
            undo.callback(layers[layer].register_forward_pre_hook(partial(look, layer)).remove)
        forward(network, image)
    return {layer: seen[layer] for layer in matrices if layer in seen}


def _root(factor: torch.Tensor) -> torch.Tensor:
    """Return R with ``R.T @ R = M^(1/2)`` for ``M = F.T @ F``: from ``F @ F.T = U L U.T`` it is ``L^(-1/4) U.T F``.

    `FeatureMatrix.square_root` is exact for the smallest eigenvalues too, but takes seconds for 512 channels; here they
    are only good to the eighth digit of the largest, which nobody sees in a picture.
    """
    factor = factor.double()  # (groups, rank, patch)
    if factor.shape[1] > factor.shape[2]:
        factor = torch.linalg.qr(factor, mode="r").R  # (groups, patch, patch), of the same M
    values, vectors = torch.linalg.eigh(factor @ factor.mT)  # (groups, r), (groups, r, r)
    rounding = values.shape[1] * torch.finfo(values.dtype).eps * values[:, -1:]  # (groups, 1)
    values = values.where(values > rounding, torch.inf)  # where an eigenvalue is 0, so is R
    return values.pow(-1 / 4).unsqueeze(2) * (vectors.mT @ factor)  # (groups, r, patch)


def _lengths(conv: nn.Conv2d, x: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """Return the lengths of the transformed patches of x, (1, channels, height, width), as (rows, columns).

    With ``M^(1/2) = R.T @ R`` a patch is transformed in two steps: R's rows are filters of a convolution like the
    layer's own, and what they find is multiplied by R.T, a few channels of the patch at a time.

    Parameters
    ----------
    root : Tensor
        R, (groups, rank, patch).
    """
    groups, rank, _ = root.shape
    channels, rows, columns = patch_shape(conv)
    filters = root.reshape(groups * rank, channels, rows, columns)
    found = conv._conv_forward(x, filters, None)[0].unflatten(0, (groups, rank))  # (groups, rank, rows, columns)
    lengths = torch.zeros_like(found[0, 0])  # (rows, columns)
    at_once = max(1, AT_ONCE // (rows * columns * lengths.nbytes))
    for r, z in zip(root.unflatten(2, (channels, rows * columns)), found, strict=True):  # (rank, channels, pixels), ...
        for some in r.split(at_once, dim=1):
            patches = torch.einsum("rcp,rhw->cphw", some, z)
            lengths += patches.square_().sum(1).sqrt_().sum(0)  # several times as fast as vector_norm
    return lengths


def eigenvectors(matrix: FeatureMatrix, count: int, group: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest eigenvalues of a feature matrix and their eigenvectors, as patches.

    Parameters
    ----------
    matrix : FeatureMatrix
    count : int
        How many; a thin factor has as many as it has rows or columns, whichever are fewer.
    group : int
        Of the convolution's groups, each of which has a matrix of its own.

    Returns
    -------
    values : Tensor
        float64 (count,), falling.
    vectors : Tensor
        float64 (count, channels, rows, columns), of length 1; the entry of largest magnitude is positive.
    """
    _, s, vt = torch.linalg.svd(matrix.factor[group].double(), full_matrices=False)  # (r,), (r, patch)
    values, vectors = s[:count].square(), vt[:count]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))  # (count, 1)
    return values, (vectors * largest.sign()).unflatten(1, matrix.shape)
