"""What every registered kernel must be, one's own too: each check raises an AssertionError about a wrong one.

Autograd differentiates the kernel's own values: `functionalize` replaces the operations in place that they may use.
"""

import torch
from torch.func import functionalize, grad

from ansatz import registry
from ansatz.machines.kernel_matrix import kernel_matrix, patches, predictor_agop

CHANNELS = 2


def construct(name, **options):
    return registry.find("kernel", name).object(**options)


def images(kernel, n=4, seed=0, dtype=torch.float64, spare=2):
    """Return images that are a few pixels larger than the smallest that the kernel takes."""
    side = max(1, 1 + kernel.depth * (kernel.patch_size - 1) - 2 * kernel.padding) + spare
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, CHANNELS, side, side + 1, generator=generator, dtype=dtype)


def coefficients(n):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(2)).double()


def factor_of(kernel):
    """Return a factor of a feature matrix of low rank."""
    return torch.randn(5, CHANNELS * kernel.patch_size**2, generator=torch.Generator().manual_seed(3)).double()


def inner_products(v, w):
    """Return q12, q11 and q22 of patches (rows, columns, n1, rank) and (rows, columns, n2, rank)."""
    return v @ w.mT, v.square().sum(3).unsqueeze(3), w.square().sum(3).unsqueeze(2)


def scaled_patches(kernel, x):
    return patches(kernel, x) * kernel.scale(CHANNELS) ** 0.5


def assert_near(actual, expected, what, tolerance=1e-9):
    difference = (actual - expected).abs().max() / expected.abs().max()
    assert difference <= tolerance, f"{what}: they differ by {float(difference):.1e} of the largest entry"


def derivatives_are_those_of_its_values(name, **options):
    kernel = construct(name, **options)
    v, w = (scaled_patches(kernel, images(kernel, n, seed)) for n, seed in ((3, 0), (2, 1)))
    by_q12, by_q22 = kernel.derivatives(*inner_products(v, w))
    for i in range(3):
        for j in range(2):  # of a single pair, as q22 is shared by all v
            q12, q11, q22 = inner_products(v[:, :, i : i + 1], w[:, :, j : j + 1])
            value = grad(functionalize(lambda a, b, q11=q11: kernel.values(a, q11, b).squeeze()), (0, 1))
            for found, expected, by in zip((by_q12, by_q22), value(q12, q22), ("q12", "q22"), strict=True):
                assert_near(found[..., i, j], expected[..., 0, 0], f"derivatives by {by} and autograd's", 1e-8)


def agops_are_those_of_its_predictors(name, **options):
    """With and without a feature matrix, from gradients by the patches of the samples."""
    kernel = construct(name, **options)
    x, samples = images(kernel, 4, 0), images(kernel, 2, 1)
    alphas = coefficients(len(x))
    for factor in (None, factor_of(kernel)):
        root = kernel.scale(CHANNELS) ** 0.5
        v = root * patches(kernel, x, factor)

        def output(w, column, v=v, factor=factor, root=root):
            w = root * (w if factor is None else w @ factor.mT)
            return (column @ kernel.values(*inner_products(v, w))).squeeze()

        expected = torch.zeros(())
        for sample in patches(kernel, samples).split(1, dim=2):
            for column in alphas.unbind(1):
                gradients = grad(functionalize(output))(sample, column).flatten(0, 2)
                expected = expected + gradients.mT @ gradients / len(samples)
        agop = predictor_agop(kernel, x, alphas, samples, factor)
        assert_near(agop, expected, f"AGOP {'without' if factor is None else 'with'} a matrix and autograd's", 1e-8)


def values_do_not_depend_on_the_tile(name, **options):
    kernel = construct(name, **options)
    x, z = images(kernel, 3, 0), images(kernel, 2, 1)
    alone = [[kernel_matrix(kernel, one, other) for other in z.split(1)] for one in x.split(1)]
    expected = torch.cat([torch.cat(row, 1) for row in alone])
    assert_near(kernel_matrix(kernel, x, z), expected, "values of a pair among others and alone")


def the_diagonal_is_that_of_its_values(name, **options):
    kernel = construct(name, **options)
    x = images(kernel)
    for factor in (None, factor_of(kernel)):
        diagonal = kernel_matrix(kernel, x, factor=factor).diagonal()
        assert_near(diagonal, kernel_matrix(kernel, x, x, factor).diagonal(), "the diagonal and the values")


def is_symmetric(name, **options):
    kernel = construct(name, **options)
    x, z = images(kernel, 3, 0), images(kernel, 4, 1)
    assert_near(kernel_matrix(kernel, x, z), kernel_matrix(kernel, z, x).mT, "the kernel and its transpose")


def is_positive_semidefinite(name, **options):
    """Also where images are equal up to a factor."""
    kernel = construct(name, **options)
    x = images(kernel, 8)
    values = torch.linalg.eigvalsh(kernel_matrix(kernel, torch.cat([x, x[:2], -x[:2], 3 * x[:2]])))
    assert values[-1] > 0, "the kernel is zero"
    assert values[0] >= -1e-9 * values[-1], f"the kernel has a negative eigenvalue, {float(values[0] / values[-1]):.1e}"


def is_homogeneous_where_it_says_so(name, **options):
    if not registry.find("kernel", name).declared["homogeneous"]:
        return
    kernel = construct(name, **options)
    x, z, alphas = images(kernel, 3, 0), images(kernel, 2, 1), coefficients(3)
    assert_near(kernel_matrix(kernel, 3 * x, z), 3 * kernel_matrix(kernel, x, z), "k(3 x, z) and 3 k(x, z)")
    assert_near(kernel_matrix(kernel, 3 * x).diagonal(), 9 * kernel_matrix(kernel, x).diagonal(), "k(3 x, 3 x)")
    agop = predictor_agop(kernel, x, alphas, z)
    assert_near(predictor_agop(kernel, 3 * x, alphas, 3 * z), 9 * agop, "the AGOP of images times 3")


def is_finite_where_patches_are_blank_or_parallel(name, **options):
    kernel = construct(name, **options)
    for dtype in (torch.float32, torch.float64):
        x = images(kernel, 4, 0, dtype)
        x[0], x[1, :, :, : x.shape[3] // 2] = 0, 0
        x = torch.cat([x, 3 * x, -x / 7, x[:, :, :1].expand_as(x), torch.ones_like(x[:1])])
        alphas = coefficients(len(x)).to(dtype)
        matrices = kernel_matrix(kernel, x), kernel_matrix(kernel, x, x.flip(0)), predictor_agop(kernel, x, alphas, x)
        for matrix, what in zip(matrices, ("the kernel", "the kernel of two sets", "the AGOP"), strict=True):
            assert matrix.isfinite().all(), f"{what} is not finite"
        assert matrices[-1].trace() > 0, "the AGOP is zero"


def float32_is_near_float64(name, **options):
    kernel = construct(name, **options)
    x, z, alphas = images(kernel, 4, 0), images(kernel, 2, 1), coefficients(4)
    tangents = kernel.derivatives(*inner_products(*(scaled_patches(kernel, each.float()) for each in (x, z))))
    assert {each.dtype for each in tangents} == {torch.float32}, "derivatives of float32 are of another type"
    assert kernel.values(*inner_products(*[scaled_patches(kernel, x.float())] * 2)).dtype == torch.float32
    assert_near(kernel_matrix(kernel, x.float(), z.float()).double(), kernel_matrix(kernel, x, z), "float32", 1e-5)
    agop = predictor_agop(kernel, x.float(), alphas.float(), z.float()).double()
    assert_near(agop, predictor_agop(kernel, x, alphas, z), "the AGOP in float32", 1e-4)


def has_the_geometry_of_its_options(name, **options):
    """On which a ConvRFM relies."""
    for option, value in {"patch_size": 2, "padding": 1, "depth": 2}.items():
        if option in registry.find("kernel", name).types:
            kernel = construct(name, **options | {option: value})
            assert getattr(kernel, option) == value, f"{option}: {value}, but the kernel's is {getattr(kernel, option)}"


CHECKS = (
    derivatives_are_those_of_its_values,
    agops_are_those_of_its_predictors,
    values_do_not_depend_on_the_tile,
    the_diagonal_is_that_of_its_values,
    is_symmetric,
    is_positive_semidefinite,
    is_homogeneous_where_it_says_so,
    is_finite_where_patches_are_blank_or_parallel,
    float32_is_near_float64,
    has_the_geometry_of_its_options,
)
