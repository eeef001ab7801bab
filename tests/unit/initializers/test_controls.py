"""Initializers that take parts of feature matrices, or a source's filters, against their definitions in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.initialize import initialize
from ansatz.seeds import derive_seed
from initializer_checks import ERRORS, PATCH, covariance_errors, filters_of, layer, source

SCALES = {"": 1, "kaiming_": 2}


def scaled_source(kind, prefix, groups=1):
    """Return the dense matrices of the source at the trace of an initializer, float64 (groups, patch, patch)."""
    dense = source(groups)[kind]["0"].dense().double()
    return SCALES[prefix] * dense / dense.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)


@pytest.mark.parametrize("prefix", SCALES)
@pytest.mark.parametrize("kind", ["nfm", "agop"])
def test_spectrum_has_the_eigenvalues_and_other_eigenvectors(kind, prefix):
    weights = filters_of(f"{prefix}{kind}_spectrum")[0].double()
    values, vectors = torch.linalg.eigh(weights.T @ weights / len(weights))
    expected, own = torch.linalg.eigh(scaled_source(kind, prefix)[0])
    torch.testing.assert_close(values, expected, rtol=0.05, atol=1e-3 * float(expected[-1]))
    assert (vectors[:, -1] @ own[:, -1]).abs() < 0.9


@pytest.mark.parametrize("prefix", SCALES)
@pytest.mark.parametrize("kind", ["nfm", "agop"])
@pytest.mark.parametrize("groups", [1, 3])
def test_basis_has_the_eigenvectors_and_equal_eigenvalues(kind, prefix, groups):
    values, vectors = torch.linalg.eigh(scaled_source(kind, prefix, groups))
    kept = (values > 1e-6).double()
    equal = SCALES[prefix] * torch.diag_embed(kept / kept.sum(1, keepdim=True))
    errors = covariance_errors(filters_of(f"{prefix}{kind}_basis", groups=groups), vectors @ equal @ vectors.mT)
    assert errors.max() < ERRORS


@pytest.mark.parametrize("name", ["nfm_shuffled", "kaiming_nfm_shuffled", "agop_shuffled", "kaiming_agop_shuffled"])
def test_shuffled_draws_from_another_layer_of_the_same_patches(name):
    """Each layer's matrix has rank 1: its filters are multiples of one patch."""
    kind = "nfm" if "nfm" in name else "agop"
    factors = torch.eye(PATCH).view(PATCH, 1, 1, PATCH)
    matrices = {str(i): FeatureMatrix(factors[i], (2, 3, 3)) for i in range(3)}
    network = nn.ModuleDict({str(i): layer(filters=6) for i in range(3)})
    initialize(network, name, seed=0, matrices={kind: matrices})
    directions = [network[str(i)].weight.detach().flatten(1).square().sum(0).argmax().item() for i in range(3)]
    assert sorted(directions) == [0, 1, 2]
    assert all(direction != i for i, direction in enumerate(directions))


def test_random_weights_have_the_nfm_of_random_filters():
    """With the same random numbers: V first, then Z ~ N(0, I), and filters ``Z R`` with R.T R = V.T V, at trace 2."""
    generator = torch.Generator().manual_seed(derive_seed(5, "filters", 0))
    v = torch.randn(12, PATCH, generator=generator).reshape(3, 4, PATCH).double()
    z = torch.randn(3, 4, 4, generator=generator).double()
    r = torch.linalg.qr(v * (2 / v.square().sum((1, 2), keepdim=True)).sqrt()).R
    filters = filters_of("random_weights", groups=3, filters=4, seed=5)
    torch.testing.assert_close(filters.double(), z @ r, rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------------------------- from filters
@pytest.mark.parametrize("groups", [1, 3])
def test_filter_covariance_is_centred(groups):
    matrices = source(groups)
    matrices["nfm"]["0"].factor.add_(0.5)
    rows = matrices["nfm"]["0"].factor.double().numpy()
    expected = torch.from_numpy(np.stack([np.cov(each.T, bias=True) for each in rows]))
    errors = covariance_errors(filters_of("filter_covariance", groups=groups, matrices=matrices), expected)
    assert errors.max() < ERRORS


def test_filter_covariance_of_depthwise_filters_is_over_all_of_them():
    """There need not be as many groups in the source: all filters are of one distribution."""
    factor = torch.randn(12, 1, 9, generator=torch.Generator().manual_seed(0)) + 0.5
    network = nn.Sequential(nn.Conv2d(5000, 5000, 3, groups=5000))
    initialize(network, "filter_covariance", seed=0, matrices={"nfm": {"0": FeatureMatrix(factor, (1, 3, 3))}})
    expected = torch.from_numpy(np.cov(factor[:, 0].double().numpy().T, bias=True))
    assert covariance_errors(network[0].weight.detach().reshape(1, 5000, 9), expected).max() < ERRORS


def test_filters_without_a_covariance_are_refused():
    matrices = {"nfm": {"0": FeatureMatrix(torch.ones(1, 4, 1), (1, 1, 1))}}
    with pytest.raises(UserError, match="source: all filters of a layer are the same, so that they have no covariance"):
        initialize(nn.Sequential(nn.Conv2d(1, 3, 1)), "filter_covariance", seed=0, matrices=matrices)


@pytest.mark.parametrize(("filters", "chosen"), [(8, range(8)), (4, (0, 2, 4, 6)), (3, (0, 2, 5)), (1, (0,))])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("scaling", ["trace", "released"])
def test_weights_are_those_of_the_source_evenly_chosen(filters, chosen, groups, scaling):
    copied = filters_of("weights", groups=groups, filters=filters, scaling=scaling)
    assert torch.equal(copied, source(groups)["nfm"]["0"].factor[:, list(chosen)])


def test_a_source_with_too_few_filters_is_refused():
    with pytest.raises(UserError, match="source: a layer has 8 filters, too few to be copied to one of 9"):
        filters_of("weights", filters=9)
