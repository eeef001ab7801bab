"""Kernel ridge regression, direct and from centres, against plain solutions and against what it minimizes."""

import itertools
import logging

import numpy as np
import pytest
import torch

from ansatz.errors import UserError
from ansatz.machines import ridge as ridge_module
from ansatz.machines.cntk import CNTK
from ansatz.machines.kernel_matrix import kernel_matrix, predictor_agop
from ansatz.machines.laplace import Laplace
from ansatz.machines.ridge import kernel_ridge, nystroem

KERNELS = {"cntk": CNTK(2, 2), "nngp": CNTK(2, 2, tangent=False), "laplace": Laplace(3.0, 2, 1)}
RIDGES = [1e-4, 1e-2, 1.0]

pytestmark = pytest.mark.usefixtures("one_thread")


def problem(n=30, dtype=torch.float64):
    """Return images, targets, new images, and a factor of patches."""
    rng = np.random.default_rng(0)
    x, y, z, factor = ((n, 2, 5, 6), (n, 3), (7, 2, 5, 6), (4, 8))
    return tuple(torch.tensor(rng.standard_normal(shape), dtype=dtype) for shape in (x, y, z, factor))


def solved(solve, kernel, x, y, factor=None, **given):
    if solve == "direct":
        return kernel_ridge(kernel, x, y, RIDGES, factor, **given)
    return nystroem(kernel, x, y, x[:10], RIDGES, factor, **given)


class Shifted:
    """The sum of q12 over positions, but for a diagonal that is off by a share of the largest entry.

    Where images are equal this share is the smallest eigenvalue, of all of them but one, whatever the rounding.
    """

    patch_size, padding, depth = 1, 0, 1

    def __init__(self, share):
        self.share = share

    def scale(self, channels):
        return 1.0

    def values(self, q12, q11, q22):
        return q12.sum((0, 1))

    def diagonal(self, q):
        return q.sum((0, 1)) * (1 + self.share)


# ------------------------------------------------------------------------------------------------- all images
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("with_factor", [False, True])
def test_the_direct_solution_is_numpys(name, with_factor):
    kernel, (x, y, z, factor) = KERNELS[name], problem()
    factor = factor if with_factor else None
    found = kernel_ridge(kernel, x, y, RIDGES, factor)
    matrix, across = kernel_matrix(kernel, x, factor=factor).numpy(), kernel_matrix(kernel, z, x, factor).numpy()
    largest = matrix.max()
    assert found.scale == largest
    assert found.ridges == RIDGES
    assert found.alphas.shape == (3, 30, 3)
    assert found.alphas.dtype == torch.float64
    for ridge, alphas, outputs in zip(RIDGES, found.alphas, found.outputs(z), strict=True):
        expected = np.linalg.solve(matrix / largest + ridge * np.eye(30), y.numpy())
        # the condition number is 1e4 at most, and roundings are so many times 1e-16
        np.testing.assert_allclose(alphas, expected, rtol=1e-9, atol=1e-11 * abs(expected).max())
        expected = across / largest @ expected
        np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-11 * abs(expected).max())


def test_a_small_ridge_passes_through_the_targets_and_a_large_one_goes_to_0():
    x, y, *_ = problem()
    small, large = kernel_ridge(KERNELS["laplace"], x, y, [1e-12, 1e6]).outputs(x)
    torch.testing.assert_close(small, y, rtol=1e-9, atol=1e-9)
    assert large.abs().max() < 1e-4


@pytest.mark.parametrize("solve", ["direct", "centres"])
def test_agop_is_that_of_the_outputs(solve):
    """Of one ridge; scale and factor are those of the regression."""
    kernel, (x, y, z, factor) = KERNELS["cntk"], problem()
    found = solved(solve, kernel, x, y, factor)
    for number in range(3):
        expected = predictor_agop(kernel, found.images, found.alphas[number], z, factor) / found.scale**2
        torch.testing.assert_close(found.agop(number, z), expected)


@pytest.mark.parametrize("name", KERNELS)
def test_float32_images_make_a_float32_kernel_solved_in_float64(name):
    """Of a kernel whose rounding is 1e-7, and with ridges of 1e-2: outputs are as good as 1e-5."""
    kernel, (x, y, z, factor) = KERNELS[name], problem()
    exact = kernel_ridge(kernel, x, y, [1e-2, 1.0], factor)
    found = kernel_ridge(kernel, x.float(), y.float(), [1e-2, 1.0], factor.float())
    assert found.alphas.dtype == torch.float64
    assert found.outputs(z.float()).dtype == torch.float32
    torch.testing.assert_close(found.outputs(z.float()).double(), exact.outputs(z), rtol=1e-5, atol=1e-5)
    matrix = kernel_matrix(kernel, x.float(), factor=factor.float()).double() / found.scale
    matrix = matrix.tril() + matrix.tril(-1).mT  # the half that is decomposed; in the other, products round otherwise
    residual = matrix @ found.alphas[0] + 1e-2 * found.alphas[0] - y.float().double()
    assert residual.abs().max() < 1e-12


# ------------------------------------------------------------------------------------------------- centres
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("with_factor", [False, True])
def test_all_images_as_centres_are_the_direct_solution(name, with_factor):
    """In any order, which is that of alphas.

    The kernel of centres is decomposed with the type's rounding added to its diagonal, 2e-16, which alphas hear
    divided by ridge: 1e-12.
    """
    kernel, (x, y, z, factor) = KERNELS[name], problem()
    factor = factor if with_factor else None
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(x)))
    direct, found = kernel_ridge(kernel, x, y, RIDGES, factor), nystroem(kernel, x, y, x[order], RIDGES, factor)
    assert found.scale == pytest.approx(direct.scale, rel=1e-13)
    assert found.ridges == RIDGES
    torch.testing.assert_close(found.outputs(z), direct.outputs(z), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(found.alphas, direct.alphas[:, order], rtol=1e-8, atol=1e-9)


def objective(found, number, x, y):
    """Return |f(x) - y|² + ridge |f|² of a regression, and its gradient by alphas beside what it is the sum of."""
    among = kernel_matrix(found.kernel, found.images, factor=found.factor) / found.scale
    between = kernel_matrix(found.kernel, x, found.images, found.factor) / found.scale
    alphas, ridge = found.alphas[number], found.ridges[number]
    error, norm = between @ alphas - y, (alphas * (among @ alphas)).sum()
    terms = 2 * between.mT @ error, 2 * ridge * among @ alphas
    return float(error.square().sum() + ridge * norm), sum(terms), float(terms[1].abs().max())


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("count", [1, 8, 20])
def test_centres_minimize_the_regularized_error(name, count):
    x, y, _, factor = problem()
    found = nystroem(KERNELS[name], x, y, x[5 : 5 + count], RIDGES, factor)
    assert found.alphas.shape == (3, count, 3)
    for number in range(3):
        _, gradient, terms = objective(found, number, x, y)
        assert gradient.abs().max() < 1e-8 * terms


def test_more_centres_leave_less_of_what_is_minimized():
    """The minimum over more functions is smaller; of the Laplace kernel, as its scale is that of any one image."""
    x, y, z, _ = problem()
    exact = kernel_ridge(KERNELS["laplace"], x, y, RIDGES)
    few = [nystroem(KERNELS["laplace"], x, y, x[:count], RIDGES) for count in (1, 5, 10, 20, 29, 30)]
    for number in range(3):
        left = [objective(found, number, x, y)[0] for found in few]
        assert all(more < less * (1 - 1e-6) for less, more in itertools.pairwise(left))
        assert left[-1] == pytest.approx(objective(exact, number, x, y)[0], rel=1e-9)
        away = [float((found.outputs(z)[number] - exact.outputs(z)[number]).norm()) for found in few]
        assert away[-1] < 1e-9 < away[4] < away[2] < away[0]


# ------------------------------------------------------------------------------------------------- what may go wrong
def test_a_ridge_that_is_too_small_becomes_a_larger_one_with_a_warning(caplog):
    """Of equal images with a diagonal low by 3 %, a ridge of 3 % makes the kernel definite: the next of 1e-3 is 0.1."""
    x, y = torch.ones(5, 1, 2, 2).double(), torch.randn(5, 2).double()
    with caplog.at_level(logging.WARNING):
        found = kernel_ridge(Shifted(-0.03), x, y, [1e-3, 0.5])
    assert found.ridges == [pytest.approx(0.1), 0.5]
    assert [record.getMessage() for record in caplog.records] == [
        "ridge 0.001 is too small for the kernel's rounding errors; using 0.1"
    ]
    matrix = torch.ones(5, 5).double()
    matrix.diagonal().fill_(0.97)
    for ridge, alphas in zip(found.ridges, found.alphas, strict=True):
        torch.testing.assert_close(matrix @ alphas + ridge * alphas, y)


def test_a_ridge_of_0_that_is_too_small_becomes_one_above_0(monkeypatch):
    x, y, decompose, calls = torch.ones(5, 1, 2, 2).double(), torch.randn(5, 2).double(), torch.linalg.cholesky_ex, []

    def counted(matrix, out):
        calls.append(matrix)
        assert len(calls) < 100, "no end"
        return decompose(matrix, out=out)

    monkeypatch.setattr(torch.linalg, "cholesky_ex", counted)
    found = kernel_ridge(Shifted(-0.03), x, y, [0.0])
    assert 0.03 < found.ridges[0] <= 1


def test_a_ridge_that_is_large_enough_gives_no_warning(caplog):
    x, y, *_ = problem()
    with caplog.at_level(logging.WARNING):
        kernel_ridge(KERNELS["cntk"], x, y, [0.0, *RIDGES])
        nystroem(KERNELS["cntk"], x, y, x[:10], RIDGES)
    assert not caplog.records


def test_where_no_ridge_helps_it_is_said_in_one_line():
    x, y = torch.ones(5, 1, 2, 2).double(), torch.randn(5, 2).double()
    message = r"^ridge: the kernel is not positive definite with 0.001, nor with ridges up to 1$"
    with pytest.raises(UserError, match=message):
        kernel_ridge(Shifted(-3.0), x, y, [1e-3])


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("solve", ["direct", "centres"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_kernel_that_is_not_finite_is_refused_in_one_line(name, solve, value):
    x, y, *_ = problem()
    x[3] = value
    with pytest.raises(
        UserError, match=r"^kernel: its largest entry is (nan|inf); are there images that are not finite, .*\?$"
    ):
        solved(solve, KERNELS[name], x, y)


def test_blank_images_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"^kernel: its largest entry is 0; .* all images blank\?$"):
        kernel_ridge(KERNELS["cntk"], torch.zeros(3, 1, 4, 4), torch.zeros(3, 2), RIDGES)


@pytest.mark.parametrize("solve", ["direct", "centres"])
@pytest.mark.parametrize("memory", [1, 3000, 30000])
def test_memory_does_not_change_the_result(monkeypatch, solve, memory):
    x, y, z, factor = problem()
    shapes = []
    computed = ridge_module.kernel_matrix
    monkeypatch.setattr(ridge_module, "kernel_matrix", lambda *a, **k: shapes.append(computed(*a, **k)) or shapes[-1])
    found = []
    for most in (None, memory):
        given = {} if most is None else {"memory": most}
        found.append(solved(solve, KERNELS["cntk"], x, y, factor, **given))
    if solve == "centres":  # of which the first takes all images at once
        assert len(shapes) == 3 + {1: 30, 3000: 4, 30000: 1}[memory]
    whole, cut = found
    torch.testing.assert_close(cut.alphas, whole.alphas, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(cut.outputs(z), whole.outputs(z), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(cut.agop(0, z), whole.agop(0, z), rtol=1e-8, atol=1e-9)
