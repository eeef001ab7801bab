"""Kernels of images and their AGOPs against their definitions, in float64, and against neural-tangents."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansatz.machines.cntk import CNTK
from ansatz.machines.kernel_matrix import kernel_matrix, predictor_agop
from ansatz.machines.laplace import Laplace
from kernel_checks import construct
from kernel_definitions import agop_by_definition, assert_near, by_definition, cases, least_angle, photographs
from real_data import ROOT

REFERENCE = ROOT.parent / "shared" / "reference"

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=150)
@given(cases())
def test_a_kernel_is_what_the_definition_says(case):
    kernel, x, z, factor = case
    expected = by_definition(kernel, x.numpy(), z.numpy(), None if factor is None else factor.numpy())
    actual = kernel_matrix(kernel, x, z, factor).numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=100)
@given(cases())
def test_a_kernel_of_images_with_themselves_is_what_the_definition_says(case):
    kernel, x, z, factor = case
    both = torch.cat([x, z, x[:1]])  # of which two are equal
    expected = by_definition(kernel, both.numpy(), both.numpy(), None if factor is None else factor.numpy())
    actual = kernel_matrix(kernel, both, factor=factor)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-9, atol=1e-12)
    # no angle is computed on the diagonal: it is as exact as a sum
    np.testing.assert_allclose(actual.diagonal(), np.diagonal(expected), rtol=1e-13)


@settings(max_examples=100)
@given(cases(), st.integers(1, 3))
def test_agop_is_that_of_autograd(case, outputs):
    """Also where images are their own samples, and where patches are blank, equal or parallel, by the convention."""
    kernel, x, z, factor = case
    alphas = torch.randn(len(x), outputs, generator=torch.Generator().manual_seed(0)).double()
    for samples in (z, x, torch.cat([z, -2 * x])):
        assume(least_angle(kernel, x, samples, factor) > 1e-5)  # it divides roundings of 1e-16 in both gradients
        expected = agop_by_definition(kernel, x, alphas, samples, factor)
        actual = predictor_agop(kernel, x, alphas, samples, factor)
        assert_near(actual, expected, 1e-8)


def test_a_blank_patch_makes_a_right_angle():
    """Of one layer, the gradient by a sample's blank patch is v / 2 + v / 2, v / 2 for what both ReLUs let pass."""
    torch.manual_seed(0)
    x, alphas = torch.randn(1, 2, 2, 2).double(), torch.ones(1, 1).double()
    patch = x.flatten(1)
    actual = predictor_agop(CNTK(1, 2), x, alphas, torch.zeros_like(x))
    torch.testing.assert_close(actual, patch.mT @ patch / 4)  # of two channels
    torch.testing.assert_close(predictor_agop(CNTK(1, 2, tangent=False), x, alphas, torch.zeros_like(x)), actual / 4)


# ------------------------------------------------------------------------------------------------- neural-tangents
def reference(name):
    if not (REFERENCE / name).is_file():
        pytest.skip(f"no reference {REFERENCE / name}")
    with np.load(REFERENCE / name) as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files}


@pytest.mark.parametrize("name", ["cntk_gray12.npz", "cntk_rgb10.npz"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("factor", ["none", "psd"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_neural_tangents_computes_the_same(name, padding, factor, depth):
    stored = reference(name)
    x, z, root = stored["X"], stored["Z"], stored["sqrtM"] if factor == "psd" else None
    for kind, kernel in {"ntk": CNTK(depth, 3, padding), "nngp": CNTK(depth, 3, padding, tangent=False)}.items():
        key = f"{kind}_pad{padding}_{factor}_d{depth}"
        torch.testing.assert_close(kernel_matrix(kernel, x, z, root), stored[f"{key}_XZ"], rtol=1e-10, atol=0)
        # of an image with itself neural-tangents takes the angle from rounding errors
        torch.testing.assert_close(kernel_matrix(kernel, x, factor=root), stored[f"{key}_XX"], rtol=1e-8, atol=0)
    for samples, images, tolerance in (("Z", z, 1e-10), ("X", x, 1e-8)):
        expected = stored[f"agop{samples}_pad{padding}_{factor}_d{depth}"]
        actual = predictor_agop(CNTK(depth, 3, padding), x, stored["alpha"], images, root)
        assert (actual - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("kernel", [CNTK(), CNTK(tangent=False), Laplace()], ids=["cntk", "nngp", "laplace"])
@pytest.mark.parametrize("kind", ["noise", "photographs"])
def test_float32_is_near_float64(kernel, kind):
    """Also where samples are among the images: rounding makes no angle between an image and itself.

    For noise, up to a few rounding errors. Between patches of photographs, angles and distances are small: they are the
    roots of differences, which lose digits in float32, and gradients divide by them. Tolerances are 2 to 5 times the
    measured errors. The NNGP has no such root, nor has its derivative.
    """
    rng = np.random.default_rng(0)
    x, z = photographs() if kind == "photographs" else torch.tensor(rng.standard_normal((2, 10, 3, 12, 12)))
    alphas, factor = torch.tensor(rng.standard_normal((10, 5))), torch.tensor(rng.standard_normal((27, 27)) / 5)
    smooth = kind == "noise" or kernel == CNTK(tangent=False)
    of_kernel, of_agop = (1e-6, 1e-6) if smooth else (3e-5, 3e-4)
    for other, root in itertools.product((z, x, None), (factor, None)):
        single = [None if each is None else each.float() for each in (x, other, root)]
        exact, actual = kernel_matrix(kernel, x, other, root), kernel_matrix(kernel, *single)
        assert actual.dtype == torch.float32
        assert ((actual - exact).abs() / exact).max() < of_kernel
        if other is not None:
            exact = predictor_agop(kernel, x, alphas, other, root)
            actual = predictor_agop(kernel, single[0], alphas.float(), *single[1:])
            assert actual.dtype == torch.float32
            assert (actual - exact).norm() / exact.norm() < of_agop


# ------------------------------------------------------------------------------------------------- what holds for it
@settings(max_examples=30)
@given(cases(), st.floats(0.01, 100))
def test_scaling_the_feature_matrix_or_images_scales_cntk(case, by):
    kernel, x, z, factor = case
    kernel = kernel if isinstance(kernel, CNTK) else CNTK(1, kernel.patch_size, kernel.padding)
    factor = torch.eye(x.shape[1] * kernel.patch_size**2, dtype=x.dtype) if factor is None else factor
    expected = by * kernel_matrix(kernel, x, z, factor)
    for actual in (kernel_matrix(kernel, x, z, math.sqrt(by) * factor), kernel_matrix(kernel, by * x, z, factor)):
        assert_near(actual, expected, 1e-9)
    own = kernel_matrix(kernel, x, factor=math.sqrt(by) * factor)
    assert_near(own, by * kernel_matrix(kernel, x, factor=factor), 1e-9)


@settings(max_examples=30)
@given(cases(), st.integers(0, 2**20))
def test_permuting_images_permutes_the_kernel_and_leaves_agop(case, seed):
    kernel, x, z, factor = case
    x = torch.cat([x, z])
    assume(least_angle(kernel, x, x, factor) > 1e-5)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    alphas = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(0)).double()
    expected = kernel_matrix(kernel, x, factor=factor)[order][:, order]
    assert_near(kernel_matrix(kernel, x[order], factor=factor), expected, 1e-9)
    assert_near(kernel_matrix(kernel, x[order], z, factor), kernel_matrix(kernel, x, z, factor)[order], 1e-9)
    expected = predictor_agop(kernel, x, alphas, x, factor)
    actual = predictor_agop(kernel, x[order], alphas[order], x[order], factor)
    assert_near(actual, expected, 1e-8)


@settings(max_examples=30)
@given(cases())
def test_a_kernel_is_positive_semidefinite_and_so_is_agop(case):
    kernel, x, z, factor = case
    x = torch.cat([x, z])
    alphas = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(0)).double()
    for matrix in (kernel_matrix(kernel, x, factor=factor), predictor_agop(kernel, x, alphas, z, factor)):
        values = torch.linalg.eigvalsh(matrix)
        assert values[0] >= -1e-8 * values[-1]


def test_a_network_that_learns_its_readout_alone_has_the_smaller_kernel():
    torch.manual_seed(0)
    x = torch.randn(5, 2, 9, 9).double()
    difference = kernel_matrix(CNTK(3), x) - kernel_matrix(CNTK(3, tangent=False), x)
    assert torch.linalg.eigvalsh(difference)[0] > 0
    nngp = kernel_matrix(construct("nngp"), x)
    assert torch.equal(nngp, kernel_matrix(dataclasses.replace(CNTK(), tangent=False), x))
    torch.testing.assert_close(kernel_matrix(CNTK(3), x).diagonal(), 4 * nngp.diagonal())


@pytest.mark.parametrize("depth", [2, 20])
@pytest.mark.parametrize("scale", [1e-14, 1, 500, 1e8])
def test_a_network_is_homogeneous_over_the_range_of_float32(depth, scale):
    """Sums over patches grow with each layer, and products of two go beyond 1e38 without a unit of their own."""
    torch.manual_seed(0)
    x, z, alphas = torch.randn(4, 2, 42, 42), torch.randn(2, 2, 42, 42), torch.randn(4, 2)
    kernel = CNTK(depth)
    expected = kernel_matrix(kernel, x.double(), z.double()) * scale**2
    torch.testing.assert_close(kernel_matrix(kernel, x * scale, z * scale).double(), expected, rtol=1e-6, atol=0)
    agop = predictor_agop(kernel, x.double(), alphas.double(), z.double())
    actual = predictor_agop(kernel, x * scale, alphas / scale, z * scale).double()
    assert float((actual - agop).abs().max() / agop.abs().max()) < 1e-4
