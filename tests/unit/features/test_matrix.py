"""Feature matrices as thin factors, against dense matrices in float64."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ansatz.features.agop import agop
from ansatz.features.matrix import eigenvectors, nfm
from ansatz.features.stored import read_matrices, write_matrices
from ansatz.networks.layers import conv_layers
from drawn_networks import drawn_matrix, networks, sizes_of_matrices, small_network


@settings(max_examples=20)
@given(networks())
def test_nfm_is_the_weights_gram_matrix(case):
    network, _ = case
    for layer, matrix in nfm(network).items():
        conv = conv_layers(network)[layer]
        by_group = conv.weight.detach().reshape(conv.groups, conv.out_channels // conv.groups, -1)
        expected = torch.einsum("god,goe->gde", by_group, by_group)
        torch.testing.assert_close(matrix.dense(), expected)
        assert matrix.shape == tuple(conv.weight.shape[1:])


@given(sizes_of_matrices)
def test_the_square_root_squares_to_the_matrix(shape):
    matrix = drawn_matrix(*shape)
    root = matrix.square_root().dense()
    torch.testing.assert_close(root @ root, matrix.dense(), rtol=1e-8, atol=1e-8)


@given(sizes_of_matrices, st.floats(0.1, 10))
def test_trace_and_scale(shape, by):
    matrix = drawn_matrix(*shape)
    torch.testing.assert_close(matrix.trace(), matrix.dense().diagonal(dim1=1, dim2=2).sum(1))
    torch.testing.assert_close(matrix.scaled(by).dense(), by * matrix.dense())


def test_matrices_are_read_back_as_they_were_written(tmp_path):
    network, x = small_network()
    matrices = {"nfm": nfm(network), "agop": agop(network, [x], probes=3)}
    write_matrices(tmp_path / "features.h5", network, matrices, {}, images=6, estimator="exact", source="test")
    read = read_matrices(tmp_path / "features.h5")
    for kind, by_layer in matrices.items():
        assert list(read[kind]) == list(by_layer)
        for layer, matrix in by_layer.items():
            assert read[kind][layer].shape == matrix.shape
            assert read[kind][layer].standard_error == matrix.standard_error
            torch.testing.assert_close(read[kind][layer].factor, matrix.factor.float())


@settings(max_examples=20)
@given(networks())
def test_eigenvectors_are_those_of_the_dense_matrix(case):
    network, _ = case
    for matrix in nfm(network).values():
        group, count = len(matrix.factor) - 1, min(matrix.factor.shape[1:])
        values, vectors = eigenvectors(matrix, count, group)
        dense = matrix.dense()[group].numpy()
        expected = np.linalg.eigvalsh(dense)[::-1][:count]
        np.testing.assert_allclose(values.numpy(), expected, rtol=1e-9, atol=1e-12 * expected[0])
        assert vectors.shape == (count, *matrix.shape)
        rows = vectors.flatten(1).numpy()
        np.testing.assert_allclose(rows @ rows.T, np.eye(count), atol=1e-9)
        np.testing.assert_allclose(rows @ dense, values.numpy()[:, None] * rows, atol=1e-9 * expected[0])
        assert (np.take_along_axis(rows, abs(rows).argmax(1)[:, None], 1) > 0).all()


def test_as_many_eigenvectors_as_asked_for():
    matrix = nfm(nn.Conv2d(3, 8, 3))[""]
    assert eigenvectors(matrix, 5)[1].shape == (5, 3, 3, 3)
    assert len(eigenvectors(matrix, 50)[0]) == 8
