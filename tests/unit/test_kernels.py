"""Kernels of images and their AGOP against their definition, in float64, and against neural-tangents."""

import dataclasses
import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_images
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import unfold

from ansatz import kernels
from ansatz.errors import UserError
from ansatz.kernels import CNTK, KERNELS, Laplace, kernel_matrix, predictor_agop
from real_data import ROOT

REFERENCE = ROOT.parent / "shared" / "reference"
STRAIGHT = 1e-13  # patches are parallel where 1 - cos² is less: then rounding is all that there is of their angle

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------- the definition
def patches_of(image, kernel, factor):
    """Return the patches of one image, position by position, each flattened by channel, row and column."""
    size, padding = kernel.patch_size, kernel.padding
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = (side - size + 1 for side in padded.shape[1:])
    found = [[padded[:, r : r + size, c : c + size].reshape(-1) for c in range(columns)] for r in range(rows)]
    return np.array(found if factor is None else [[factor @ patch for patch in row] for row in found])


def window_sums(q, size):
    rows, columns = (side - size + 1 for side in q.shape)
    return np.array([[q[r : r + size, c : c + size].sum() for c in range(columns)] for r in range(rows)])


def relu_expectations(q12, q11, q22):
    """Return 2 E[relu(u) relu(v)] and 2 E[relu'(u) relu'(v)], by the angle between u and v (Cho and Saul, 2009)."""
    lengths = math.sqrt(q11 * q22)
    if lengths == 0:
        angle = math.pi / 2
    elif lengths**2 - q12**2 <= STRAIGHT * lengths**2:
        angle = 0 if q12 > 0 else math.pi
    else:
        angle = math.acos(q12 / lengths)
    dual = lengths * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
    return dual, (math.pi - angle) / math.pi


def cntk_by_definition(v, w, kernel):
    q12, q11, q22 = (v * w).sum(2), (v * v).sum(2), (w * w).sum(2)
    expectations = np.vectorize(relu_expectations)
    tangent, (dual, slope) = q12, expectations(q12, q11, q22)
    for _ in range(1, kernel.depth):
        of_itself = expectations(q11, q11, q11)[0], expectations(q22, q22, q22)[0]
        q12, q11, q22 = (window_sums(q, kernel.patch_size) for q in (dual, *of_itself))
        tangent = window_sums(tangent * slope, kernel.patch_size) + q12
        dual, slope = expectations(q12, q11, q22)
    return (dual + tangent * slope if kernel.tangent else dual).mean()


def laplace_by_definition(v, w, kernel):
    positions = itertools.product(*map(range, v.shape[:2]))
    return sum(math.exp(-math.dist(v[position], w[position]) / kernel.bandwidth) for position in positions)


def by_definition(kernel, x, z, factor):
    """Compute the kernel pair by pair, position by position."""
    scale = 1 if isinstance(kernel, Laplace) else x.shape[1]
    of_pair = laplace_by_definition if isinstance(kernel, Laplace) else cntk_by_definition
    v, w = ([patches_of(image, kernel, factor) / math.sqrt(scale) for image in images] for images in (x, z))
    return np.array([[of_pair(one, other, kernel) for other in w] for one in v])


@st.composite
def cases(draw, integers=None):
    """A kernel, images x and z that fit it, and a factor or none; integers have blank, equal and parallel patches."""
    size, padding, depth = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(1, 3))
    kernel = draw(
        st.sampled_from(
            [
                CNTK(depth, size, padding),
                CNTK(depth, size, padding, tangent=False),
                Laplace(draw(st.sampled_from([0.5, 3.0, 10.0])), size, padding),
            ]
        )
    )
    least = max(1, 1 + kernel.depth * (size - 1) - 2 * padding)
    shape = draw(st.integers(1, 3)), least + draw(st.integers(0, 3)), least + draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    integers = draw(st.booleans()) if integers is None else integers

    def images(count):
        if not integers:
            return torch.tensor(rng.standard_normal((count, *shape)))
        blank = rng.random((count, 1, 1, 1)) < 0.2
        return torch.tensor(np.where(blank, 0.0, rng.integers(-1, 3, (count, *shape))))

    x, z = (images(draw(st.integers(1, 3))) for _ in "xz")
    patch = shape[0] * size**2
    rank = draw(st.sampled_from([None, 1, 3, patch]))
    return kernel, x, z, None if rank is None else torch.tensor(rng.standard_normal((rank, patch)))


def assert_near(found, expected, tolerance):
    """Compare to what is largest; opposite patches have a kernel and gradients of 0, or of roundings of 1e-16."""
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()) + 1e-15)


@settings(max_examples=300)
@given(cases())
def test_a_kernel_is_what_the_definition_says(case):
    kernel, x, z, factor = case
    expected = by_definition(kernel, x.numpy(), z.numpy(), None if factor is None else factor.numpy())
    found = kernel_matrix(kernel, x, z, factor).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=200)
@given(cases())
def test_a_kernel_of_images_with_themselves_is_what_the_definition_says(case):
    kernel, x, z, factor = case
    both = torch.cat([x, z, x[:1]])  # of which two are equal
    expected = by_definition(kernel, both.numpy(), both.numpy(), None if factor is None else factor.numpy())
    found = kernel_matrix(kernel, both, factor=factor)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    # no angle is computed on the diagonal: it is as exact as a sum
    np.testing.assert_allclose(found.diagonal(), np.diagonal(expected), rtol=1e-13)


# ------------------------------------------------------------------------------------------------- its derivatives
def relu_pairs(q12, q11, q22):
    """Return `relu_expectations` of arrays, for autograd; where the angle has no derivative it is a constant."""
    square = q11 * q22 - q12**2
    straight = square <= STRAIGHT * q11 * q22
    cosine = q12 / torch.where(straight, 1.0, q11 * q22).sqrt()
    angle = torch.acos(torch.where(straight, 0.0, cosine))  # a right one where a patch is blank
    angle = torch.where(straight & (q12 > 0), 0.0, torch.where(straight & (q12 < 0), math.pi, angle))
    sine = torch.where(straight, 0.0, torch.where(straight, 1.0, square).sqrt())  # times the lengths
    slope = 1 - angle / math.pi
    return sine / math.pi + slope * q12, slope


def differentiable(kernel, v, w):
    """Compute the kernel of patches (n, rows, columns, rank) and those of one image, (rows, columns, rank)."""
    q12, q11, q22 = (v * w).sum(3), (v * v).sum(3), (w * w).sum(2).expand(v.shape[:3])
    if isinstance(kernel, Laplace):
        square = (v - w).square().sum(3)
        apart = square > STRAIGHT * (q11 + q22)
        distance = torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0)
        return (-distance / kernel.bandwidth).exp().sum((1, 2))
    window = torch.ones(1, 1, kernel.patch_size, kernel.patch_size, dtype=v.dtype)
    tangent, (dual, slope) = q12, relu_pairs(q12, q11, q22)
    for _ in range(1, kernel.depth):
        q12, q11, q22, tangent = (
            torch.conv2d(q.unsqueeze(1), window).squeeze(1) for q in (dual, q11, q22, tangent * slope)
        )
        tangent = tangent + q12
        dual, slope = relu_pairs(q12, q11, q22)
    return (dual + tangent * slope if kernel.tangent else dual).mean((1, 2))


def all_patches(kernel, images):
    """Return the patches of images, (n, rows, columns, patch)."""
    rows, columns = (side + 2 * kernel.padding - kernel.patch_size + 1 for side in images.shape[2:])
    return unfold(images, kernel.patch_size, padding=kernel.padding).mT.unflatten(1, (rows, columns))


def least_angle(kernel, x, samples, factor):
    """Return the smallest squared sine between patches at the same position that is more than rounding."""
    v, w = (all_patches(kernel, images) for images in (x, samples))
    v, w = (each if factor is None else each @ factor.mT for each in (v, w))
    lengths = v.square().sum(3).unsqueeze(1) * w.square().sum(3)  # (n, m, rows, columns)
    sines = 1 - torch.einsum("nrcp,mrcp->nmrc", v, w).square() / torch.where(lengths > 0, lengths, math.inf)
    return float(torch.where(sines > STRAIGHT, sines, 1.0).min())


def agop_by_definition(kernel, x, alphas, samples, factor):
    """Differentiate the predictor by each patch, and average outer products of the gradients."""

    def predictor(sample):
        v, w = (each if factor is None else each @ factor.mT for each in (all_patches(kernel, x), sample))
        if not isinstance(kernel, Laplace):
            v, w = v / math.sqrt(x.shape[1]), w / math.sqrt(x.shape[1])
        return alphas.mT @ differentiable(kernel, v, w)

    gradients = [torch.autograd.functional.jacobian(predictor, sample) for sample in all_patches(kernel, samples)]
    return sum(torch.einsum("crkp,crkq->pq", one, one) for one in gradients) / len(samples)


@settings(max_examples=100)
@given(cases(), st.integers(1, 3))
def test_agop_is_that_of_autograd(case, outputs):
    """Also where images are their own samples, and where patches are blank, equal or parallel, by the convention."""
    kernel, x, z, factor = case
    alphas = torch.randn(len(x), outputs, generator=torch.Generator().manual_seed(0)).double()
    for samples in (z, x, torch.cat([z, -2 * x])):
        assume(least_angle(kernel, x, samples, factor) > 1e-5)  # it divides roundings of 1e-16 in both gradients
        expected = agop_by_definition(kernel, x, alphas, samples, factor)
        found = predictor_agop(kernel, x, alphas, samples, factor)
        assert_near(found, expected, 1e-8)


def test_a_blank_patch_makes_a_right_angle():
    """Of one layer, the gradient by a sample's blank patch is v / 2 + v / 2, v / 2 for what both ReLUs let pass."""
    torch.manual_seed(0)
    x, alphas = torch.randn(1, 2, 2, 2).double(), torch.ones(1, 1).double()
    patch = x.flatten(1)
    found = predictor_agop(CNTK(1, 2), x, alphas, torch.zeros_like(x))
    torch.testing.assert_close(found, patch.mT @ patch / 4)  # of two channels
    torch.testing.assert_close(predictor_agop(CNTK(1, 2, tangent=False), x, alphas, torch.zeros_like(x)), found / 4)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blank_and_parallel_patches_give_no_nan(name, dtype):
    rng = np.random.default_rng(0)
    some = torch.tensor(rng.standard_normal((4, 2, 8, 7)), dtype=dtype)
    some[0], some[1, :, :, :4] = 0, 0
    images = torch.cat([some, 3 * some, -some / 7, some[:, :, :1].expand_as(some), torch.ones_like(some[:1])])
    kernel = KERNELS[name](patch_size=2, padding=1)
    alphas = torch.tensor(rng.standard_normal((len(images), 3)), dtype=dtype)
    assert kernel_matrix(kernel, images).isfinite().all()
    assert kernel_matrix(kernel, images, images.flip(0)).isfinite().all()
    agop = predictor_agop(kernel, images, alphas, images)
    assert agop.isfinite().all()
    assert agop.trace() > 0


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
        found = predictor_agop(CNTK(depth, 3, padding), x, stored["alpha"], images, root)
        assert (found - expected).norm() <= tolerance * expected.norm()


# ------------------------------------------------------------------------------------------------- how it is computed
@settings(max_examples=30)
@given(cases(integers=False), st.sampled_from([1, 10**4, 10**5]), st.sampled_from([1, 500, 2**20]))
def test_neither_memory_nor_cache_changes_the_result(case, memory, cached):
    kernel, x, z, factor = case
    x = torch.cat([x, z, x + 1])
    alphas = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(0)).double()
    whole = [kernel_matrix(kernel, x, factor=factor), kernel_matrix(kernel, x, z, factor)]
    whole.append(predictor_agop(kernel, x, alphas, z, factor))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "CACHED", cached)
        cut = [
            kernel_matrix(kernel, x, factor=factor, memory=memory),
            kernel_matrix(kernel, x, z, factor, memory=memory),
            predictor_agop(kernel, x, alphas, z, factor, memory=memory),
        ]
    for one, other in zip(whole, cut, strict=True):
        assert_near(other, one, 1e-9)
    torch.testing.assert_close(cut[0].diagonal(), whole[0].diagonal(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("memory", [10**4, 10**5])
def test_tiles_take_no_more_memory_than_given(monkeypatch, memory):
    """As many arrays of a tile as there may be at a time, each of all positions."""
    seen, values = [], CNTK.values
    monkeypatch.setattr(
        CNTK, "values", lambda self, q12, *others: seen.append(q12.nbytes) or values(self, q12, *others)
    )
    kernel_matrix(CNTK(2), torch.randn(30, 1, 6, 6), memory=memory)
    assert len(seen) > 1
    assert kernels.ARRAYS * max(seen) <= memory


@pytest.mark.skipif(torch.__version__ < "2.13" and not torch.cuda.is_available(), reason="took a GPU before torch 2.13")
@pytest.mark.parametrize("name", ["cntk", "laplace"])
@pytest.mark.parametrize("rank", [None, 4])
def test_everything_stays_on_the_device_of_the_images(name, rank):
    """By PyTorch's rules for a GPU, of which none need be here: tensors without numbers."""
    with FakeTensorMode():
        x, alphas = torch.empty(7, 3, 9, 9, device="cuda"), torch.empty(7, 2, device="cuda")
        factor = None if rank is None else torch.empty(rank, 27, device="cuda")
        kernel = KERNELS[name]()
        for found in (
            kernel_matrix(kernel, x, factor=factor, memory=10**5),
            kernel_matrix(kernel, x, x[:5], factor, memory=10**5),
            predictor_agop(kernel, x, alphas, x[:5], factor, memory=10**5),
        ):
            assert found.device == x.device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("rank", [None, 20])
def test_a_gpu_computes_the_same(name, fused, rank):
    kernel, (x, z) = KERNELS[name](), photographs()
    on_gpu = kernels.compiled(kernel) if fused else kernel
    x, z = x[:8, ..., :11].double(), z[:7, ..., :11].double()  # so that a tile has no two sides of one length
    alphas, factor = torch.randn(len(x), 3).double(), None if rank is None else torch.randn(rank, 27).double()
    on_it = {"factor": None if factor is None else factor.cuda(), "memory": 10**6}  # several tiles
    assert_near(kernel_matrix(on_gpu, x.cuda(), **on_it).cpu(), kernel_matrix(kernel, x, factor=factor), 1e-9)
    assert_near(kernel_matrix(on_gpu, x.cuda(), z.cuda(), **on_it).cpu(), kernel_matrix(kernel, x, z, factor), 1e-9)
    found = predictor_agop(on_gpu, x.cuda(), alphas.cuda(), z.cuda(), **on_it).cpu()
    assert_near(found, predictor_agop(kernel, x, alphas, z, factor), 1e-9)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_of_fewer_digits_than_float32_has_are_refused(precision):
    x = torch.rand(3, 1, 6, 6)
    torch.set_float32_matmul_precision(precision)
    try:
        for compute in (lambda: kernel_matrix(CNTK(2), x), lambda: predictor_agop(CNTK(2), x, torch.ones(3, 2), x)):
            with pytest.raises(UserError, match=r"too coarse for kernels; call torch.set_float32_matmul_precision"):
                compute()
        kernel_matrix(CNTK(2), x.double())
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("name", ["cntk", "laplace"])
def test_tiles_of_all_sizes_are_compiled_once(monkeypatch, name):
    """To compile takes longer than most kernels, and after eight times for a function PyTorch gives up."""
    graphs = []

    def traced(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=traced))
    for count, side in ((37, 7), (30, 9)):
        monkeypatch.setattr(kernels, "CACHED", side**2 * 400)  # bytes: tiles of so many images, and smaller ones
        kernel = kernels.compiled(KERNELS[name]())
        x, alphas = torch.rand(count, 3, 12, 12), torch.randn(count, 4)
        kernel_matrix(kernel, x)
        kernel_matrix(kernel, x[:1], x)
        kernel_matrix(kernel, x[:20, :1, :8, :9], x[:10, :1, :8, :9])
        predictor_agop(kernel, x, alphas, x[:20])
        predictor_agop(kernel, x, alphas, x[:7])
    assert len(graphs) == 2  # of values and derivatives
    torch.compiler.reset()


def test_each_pair_of_a_kernel_of_x_is_computed_once(monkeypatch):
    """But for the pairs in tiles on the diagonal, which are whole."""
    seen, values = [], CNTK.values
    monkeypatch.setattr(
        CNTK, "values", lambda self, q12, *others: seen.append(q12[0, 0].numel()) or values(self, q12, *others)
    )
    for memory in (10**5, 10**6):  # of which tiles are smaller than blocks of patches, and of which blocks are
        seen.clear()
        kernel_matrix(CNTK(2), torch.randn(100, 1, 6, 6), memory=memory)
        assert max(seen) < 100**2 / 10
        assert 100**2 / 2 <= sum(seen) <= 100**2 / 2 + 100 * max(seen) ** 0.5


@pytest.mark.parametrize("memory", [10**5, 10**6])
def test_an_agop_takes_no_more_memory_than_given(monkeypatch, memory):
    """A third for as many arrays of a tile as there may be at a time, and one for the gradients."""
    seen, derivatives = [], CNTK.derivatives
    monkeypatch.setattr(
        CNTK, "derivatives", lambda self, q12, *others: seen.append(q12.nbytes) or derivatives(self, q12, *others)
    )
    predictor_agop(CNTK(2), torch.randn(60, 1, 6, 6), torch.randn(60, 3), torch.randn(20, 1, 6, 6), memory=memory)
    assert len(seen) > 1
    assert kernels.ARRAYS * max(seen) <= memory


@settings(max_examples=30)
@given(cases(integers=False))
def test_a_kernel_of_x_is_that_of_x_and_x(case):
    """Also on the diagonal, where patches are equal up to rounding, which is taken for nothing."""
    kernel, x, z, factor = case
    x = torch.cat([x, z])
    assert_near(kernel_matrix(kernel, x, factor=factor), kernel_matrix(kernel, x, x, factor), 1e-9)


def photographs():
    """Return crops of a photograph, many of whose patches are nearly equal: (10, 3, 12, 12), twice."""
    photograph = load_sample_images().images[0].transpose(2, 0, 1) / 255
    crops = [photograph[:, r : r + 12, c : c + 12] for r in range(0, 400, 100) for c in range(0, 600, 120)]
    return torch.tensor(np.array(crops)).split(10)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("kind", ["noise", "photographs"])
def test_float32_is_near_float64(name, kind):
    """Also where samples are among the images: rounding makes no angle between an image and itself.

    Of noise, to a few roundings. Between patches of photographs angles and distances are small, and are the roots of
    differences, of which float32 leaves the less; they are divided by in gradients. 2 to 5 times what was measured.
    """
    rng = np.random.default_rng(0)
    x, z = photographs() if kind == "photographs" else torch.tensor(rng.standard_normal((2, 10, 3, 12, 12)))
    alphas, factor = torch.tensor(rng.standard_normal((10, 5))), torch.tensor(rng.standard_normal((27, 27)) / 5)
    kernel = KERNELS[name]()
    of_kernel, of_agop = {
        "noise": (1e-6, 1e-6),
        "photographs": (1e-6, 1e-6) if name == "nngp" else (3e-5, 3e-4),  # nngp's has no root, its derivative neither
    }[kind]
    for other, root in itertools.product((z, x, None), (factor, None)):
        single = [None if each is None else each.float() for each in (x, other, root)]
        exact, found = kernel_matrix(kernel, x, other, root), kernel_matrix(kernel, *single)
        assert found.dtype == torch.float32
        assert ((found - exact).abs() / exact).max() < of_kernel
        if other is not None:
            exact = predictor_agop(kernel, x, alphas, other, root)
            found = predictor_agop(kernel, single[0], alphas.float(), *single[1:])
            assert found.dtype == torch.float32
            assert (found - exact).norm() / exact.norm() < of_agop


# ------------------------------------------------------------------------------------------------- what holds for it
@settings(max_examples=30)
@given(cases(), st.floats(0.01, 100))
def test_scaling_the_feature_matrix_or_images_scales_cntk(case, by):
    kernel, x, z, factor = case
    kernel = kernel if isinstance(kernel, CNTK) else CNTK(1, kernel.patch_size, kernel.padding)
    factor = torch.eye(x.shape[1] * kernel.patch_size**2, dtype=x.dtype) if factor is None else factor
    expected = by * kernel_matrix(kernel, x, z, factor)
    for found in (kernel_matrix(kernel, x, z, math.sqrt(by) * factor), kernel_matrix(kernel, by * x, z, factor)):
        assert_near(found, expected, 1e-9)
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
    found = predictor_agop(kernel, x[order], alphas[order], x[order], factor)
    assert_near(found, expected, 1e-8)


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
    nngp = kernel_matrix(KERNELS["nngp"](), x)
    assert torch.equal(nngp, kernel_matrix(dataclasses.replace(CNTK(), tangent=False), x))
    torch.testing.assert_close(kernel_matrix(CNTK(3), x).diagonal(), 4 * nngp.diagonal())


@pytest.mark.parametrize(
    ("kernel", "shape", "message"),
    [
        (CNTK(3, 3), (6, 9), "kernel: 3 convolutions of patch size 3 take images of 7 px at least, and these have 6x9"),
        (
            CNTK(3, 3, 1),
            (9, 4),
            "kernel: 3 convolutions of patch size 3 take images of 5 px at least, and these have 9x4",
        ),
        (
            Laplace(patch_size=4),
            (3, 3),
            "kernel: 1 convolutions of patch size 4 take images of 4 px at least, and .* 3x3",
        ),
    ],
)
def test_too_small_images_are_refused_in_one_line(kernel, shape, message):
    x = torch.zeros(2, 1, *shape)
    for compute in (kernel_matrix, lambda kernel, x: predictor_agop(kernel, x, torch.zeros(2, 1), x)):
        with pytest.raises(UserError, match=f"^{message}$"):
            compute(kernel, x)
    least = max(1, 1 + kernel.depth * (kernel.patch_size - 1) - 2 * kernel.padding)
    assert kernel_matrix(kernel, torch.ones(2, 1, least, least)).isfinite().all()


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
    found = predictor_agop(kernel, x * scale, alphas / scale, z * scale).double()
    assert float((found - agop).abs().max() / agop.abs().max()) < 1e-4
