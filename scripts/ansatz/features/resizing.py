"""Feature matrices for patches of another shape than theirs."""

import torch
from torch.nn.functional import interpolate

from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix, Shape, shape_text


def fits(shape: Shape, source: Shape, resize: str = "none") -> bool:
    """Return whether a feature matrix over patches of the shape `source` can be made one over patches of `shape`.

    Parameters
    ----------
    shape, source : tuple of int
        Channels, rows and columns.
    resize : {"none", "spatial", "channels"}
        What may differ: nothing, rows and columns, or channels.
    """
    if shape == source or not len(shape) == len(source) == 3:  # tokens have channels alone
        return shape == source
    return {"none": False, "spatial": shape[0] == source[0], "channels": shape[1:] == source[1:]}[resize]


def resized(matrix: FeatureMatrix, shape: Shape) -> FeatureMatrix:
    """Return a feature matrix over patches of another shape.

    If rows and columns differ, it is ``A M A.T``, where A interpolates a patch (bilinear, as images are resized). If
    channels differ, they are independent and alike: the covariance of each is the mean over the source's channels of
    what each has with itself.

    Raises
    ------
    UserError
        If both differ.
    """
    if shape == matrix.shape:
        return matrix
    if fits(shape, matrix.shape, "spatial"):
        return _interpolated(matrix, shape)
    if fits(shape, matrix.shape, "channels"):
        return _over_channels(matrix, shape)
    raise UserError(
        f"source: a feature matrix over {shape_text(matrix.shape)} cannot be resized to {shape_text(shape)}"
    )


def _interpolated(matrix: FeatureMatrix, shape: Shape) -> FeatureMatrix:
    groups, rank, _ = matrix.factor.shape
    filters = matrix.factor.reshape(groups * rank, *matrix.shape)  # (groups * rank, channels, rows, columns)
    size = shape[1:]
    filters = interpolate(filters, size, mode="bilinear", antialias=True)
    return FeatureMatrix(filters.reshape(groups, rank, -1), shape, matrix.standard_error)


def _over_channels(matrix: FeatureMatrix, shape: Shape) -> FeatureMatrix:
    groups, rank, _ = matrix.factor.shape
    channels, side = matrix.shape[0], shape[1] * shape[2]
    rows = matrix.factor.reshape(groups, rank * channels, side)  # each channel's part of each row of the factor
    upper = (torch.linalg.qr(rows, mode="r").R / channels**0.5).contiguous()  # (groups, r, side), of the same products
    factor = torch.stack([torch.kron(torch.eye(shape[0], dtype=upper.dtype), block) for block in upper])
    return FeatureMatrix(factor, shape, matrix.standard_error)  # factor (groups, shape[0] * r, shape[0] * side)
