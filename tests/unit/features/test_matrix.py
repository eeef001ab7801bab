"""Feature matrices as thin factors, against dense matrices in float64."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import nn

from ansatz.features.agop import agop
from ansatz.features.matrix import FeatureMatrix, centred_nfm, eigenvectors, nfm
from ansatz.features.stored import read_matrices, write_matrices
from ansatz.networks.layers import conv_layers
from ansatz.networks.maps import CONVOLUTIONS
from drawn_networks import drawn_matrix, networks, sizes_of_matrices, small_network


@settings(max_examples=20)
@given(networks())
def test_nfm_is_the_weights_gram_matrix(case):
    network, _ = case
    for layer, matrix in nfm(network, CONVOLUTIONS).items():
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


@given(sizes_of_matrices)
def test_a_random_basis_keeps_the_eigenvalues(shape):
    matrix = drawn_matrix(*shape)
    other = matrix.with_random_basis(torch.Generator().manual_seed(shape[3]))
    values, expected = (torch.linalg.eigvalsh(each.dense()) for each in (other, matrix))
    torch.testing.assert_close(values, expected, rtol=1e-8, atol=1e-8)


def test_a_random_basis_prefers_no_direction():
    """The mean over bases of a matrix with eigenvalues 4, 1, 0 is a multiple of the identity; entries have no sign."""
    root = torch.diag(torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))
    matrix = FeatureMatrix(root.expand(20_000, 3, 3), (3, 1, 1))
    factor = matrix.with_random_basis(torch.Generator().manual_seed(0)).factor  # as many groups as bases
    torch.testing.assert_close((factor.mT @ factor).mean(0), torch.eye(3).double() * 5 / 3, rtol=0, atol=0.05)
    torch.testing.assert_close(factor.mean(0), torch.zeros(3, 3).double(), rtol=0, atol=0.05)


@given(sizes_of_matrices)
def test_a_flat_spectrum_is_a_multiple_of_the_projection_onto_the_range(shape):
    matrix = drawn_matrix(*shape)
    values, vectors = torch.linalg.eigh(matrix.dense())
    kept = (values > 1e-9 * values.amax(1, keepdim=True)).double()
    projection = vectors @ torch.diag_embed(kept) @ vectors.mT
    expected = projection * (matrix.trace() / kept.sum(1)).view(-1, 1, 1)
    torch.testing.assert_close(matrix.with_flat_spectrum().dense(), expected, rtol=1e-8, atol=1e-8)


@given(sizes_of_matrices)
def test_eigenvalues_are_those_of_the_dense_matrix(shape):
    """The largest of them, descending; what is left out is zero."""
    matrix = drawn_matrix(*shape)
    values = matrix.eigenvalues()
    groups, rank, patch = matrix.factor.shape
    assert values.shape == (groups, min(rank, patch))
    expected = torch.linalg.eigvalsh(matrix.dense()).flip(1)
    missing = torch.zeros(groups, patch - values.shape[1], dtype=torch.float64)
    torch.testing.assert_close(torch.cat([values, missing], 1), expected, rtol=1e-8, atol=1e-8)


def test_eigenvalues_of_single_precision_are_computed_in_double():
    factor = torch.diag(torch.tensor([1.0, 1e-6])).unsqueeze(0)
    values = FeatureMatrix(factor, (2, 1, 1)).eigenvalues()
    assert values.dtype == torch.float64
    torch.testing.assert_close(values, factor.double().diagonal(dim1=1, dim2=2).square(), rtol=1e-12, atol=0)


@given(sizes_of_matrices)
def test_the_effective_rank_is_the_exponential_of_the_entropy(shape):
    """By SciPy's entropy, which normalises, of the dense matrix's eigenvalues."""
    matrix = drawn_matrix(*shape)
    expected = [np.exp(entropy(np.linalg.eigvalsh(dense).clip(0))) for dense in matrix.dense().numpy()]
    np.testing.assert_allclose(matrix.effective_rank().numpy(), expected, rtol=1e-9)


def test_the_effective_rank_counts_equal_eigenvalues_whatever_the_scale():
    kept = torch.tensor([[1.0, 1, 1, 0], [0, 2, 0, 0]], dtype=torch.float64)
    matrix = FeatureMatrix(torch.diag_embed(kept), (4, 1, 1))
    torch.testing.assert_close(matrix.effective_rank(), torch.tensor([3.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(matrix.scaled(7).effective_rank(), matrix.effective_rank())
    assert matrix.scaled(0).effective_rank().isnan().all()


def test_a_changed_spectrum_has_no_standard_error():
    estimate = replace(drawn_matrix(1, 2, 3, 0), standard_error=0.1)
    random = estimate.with_random_basis(torch.Generator())
    assert all(np.isnan(changed.standard_error) for changed in (random, estimate.with_flat_spectrum()))


def test_the_centred_nfm_is_that_of_the_change_of_the_weights():
    initial, _ = small_network()
    trained = deepcopy(initial)
    with torch.no_grad():
        for conv in conv_layers(trained).values():
            conv.weight += torch.randn_like(conv.weight)
    for layer, matrix in centred_nfm(trained, initial, CONVOLUTIONS).items():
        change = (conv_layers(trained)[layer].weight - conv_layers(initial)[layer].weight).detach().flatten(1)
        torch.testing.assert_close(matrix.dense()[0], change.T @ change)


def test_matrices_are_read_back_as_they_were_written(tmp_path):
    network, x = small_network()
    other = small_network(classes=4)[0]
    matrices = {
        "nfm": nfm(network, CONVOLUTIONS),
        "agop": agop(network, [x], probes=3, layers=CONVOLUTIONS),
        "centred_nfm": centred_nfm(network, other, CONVOLUTIONS),
    }
    write_matrices(tmp_path / "features.h5", network, matrices, {}, images=6, estimator="exact", source="test")
    read = read_matrices(tmp_path / "features.h5")
    assert list(read) == list(matrices)
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
    for matrix in nfm(network, CONVOLUTIONS).values():
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


@pytest.mark.parametrize(
    ("inputs", "shape"), [(784, (1, 28, 28)), (3072, (3, 32, 32)), (64, (1, 8, 8)), (12, (3, 2, 2)), (10, (1, 1, 10))]
)
def test_eigenvectors_of_a_flattened_image_are_images(inputs, shape):
    assert eigenvectors(nfm(nn.Linear(inputs, 4))[""], 2)[1].shape == (2, *shape)
