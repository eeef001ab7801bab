"""Feature matrices over patches of another shape, against dense matrices in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from ansatz.errors import UserError
from ansatz.features.matching import match
from ansatz.features.matrix import FeatureMatrix
from ansatz.features.resizing import fits, resized


def matrix_of(shape, groups=2, rank=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = shape[0] * shape[1] * shape[2]
    return FeatureMatrix(torch.randn(groups, rank, size, generator=generator, dtype=torch.float64), shape)


@given(
    st.integers(1, 3), st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(1, 5), st.integers(1, 5))
)
def test_another_kernel_size_interpolates_patches(channels, old, new):
    """Each column of A is the interpolation of a patch with a single 1."""
    matrix = matrix_of((channels, *old))
    ones = torch.eye(channels * old[0] * old[1], dtype=torch.float64).reshape(-1, channels, *old)
    a = interpolate(ones, new, mode="bilinear", antialias=True).flatten(1).mT  # (new patch, old patch)
    torch.testing.assert_close(resized(matrix, (channels, *new)).dense(), a @ matrix.dense() @ a.mT)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_other_channels_share_the_mean_covariance_over_rows_and_columns(old, new, side):
    matrix = matrix_of((old, side, side))
    dense = matrix.dense().reshape(2, old, side**2, old, side**2)
    mean = sum(dense[:, c, :, c] for c in range(old)) / old  # (groups, side², side²)
    made = resized(matrix, (new, side, side)).dense().reshape(2, new, side**2, new, side**2)
    for i in range(new):
        for j in range(new):
            expected = mean if i == j and new != old else dense[:, i, :, j] if new == old else torch.zeros_like(mean)
            torch.testing.assert_close(made[:, i, :, j], expected)


def test_what_may_differ_is_chosen():
    assert fits((3, 5, 5), (3, 5, 5))
    assert not fits((3, 5, 5), (3, 3, 3))
    assert fits((3, 5, 5), (3, 3, 3), "spatial")
    assert not fits((3, 5, 5), (4, 5, 5), "spatial")
    assert fits((3, 5, 5), (4, 5, 5), "channels")
    assert not fits((3, 5, 5), (3, 3, 3), "channels")
    with pytest.raises(UserError, match="a feature matrix over 3x5x5 cannot be resized to 4x3x3"):
        resized(matrix_of((3, 5, 5)), (4, 3, 3))


def test_layers_that_differ_match_where_that_is_chosen():
    network, source = {"a": (1, 5, 5), "b": (8, 3, 3)}, {"x": (3, 5, 5), "y": (6, 3, 3)}
    with pytest.raises(UserError, match="layer a with patches 1x5x5 has no counterpart"):
        match(network, source)
    assert match(network, source, resize="channels") == {"a": ("x", "order"), "b": ("y", "order")}
    assert match({"b": (8, 3, 3)}, source, resize="channels") == {"b": ("y", "shape")}
