"""How kernels of all pairs are computed: in tiles, in the memory available, on any device, compiled or not."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

import ansatz.machines.kernel_matrix as tiles
from ansatz import registry
from ansatz.errors import UserError
from ansatz.machines.cntk import CNTK
from ansatz.machines.compiled import compiled
from ansatz.machines.kernel_matrix import ARRAYS, kernel_matrix, predictor_agop
from ansatz.machines.laplace import Laplace
from kernel_checks import construct
from kernel_definitions import assert_near, cases, photographs

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=30)
@given(cases(integers=False), st.sampled_from([1, 10**4, 10**5]), st.sampled_from([1, 500, 2**20]))
def test_neither_memory_nor_cache_changes_the_result(case, memory, cached):
    kernel, x, z, factor = case
    x = torch.cat([x, z, x + 1])
    alphas = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(0)).double()
    whole = [kernel_matrix(kernel, x, factor=factor), kernel_matrix(kernel, x, z, factor)]
    whole.append(predictor_agop(kernel, x, alphas, z, factor))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "CACHED", cached)
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
    assert ARRAYS * max(seen) <= memory


@pytest.mark.skipif(torch.__version__ < "2.13" and not torch.cuda.is_available(), reason="took a GPU before torch 2.13")
@pytest.mark.parametrize("name", registry.definitions("kernel"))
@pytest.mark.parametrize("rank", [None, 4])
def test_everything_stays_on_the_device_of_the_images(name, rank):
    """By PyTorch's rules for a GPU, of which none need be here: tensors without numbers."""
    with FakeTensorMode():
        x, alphas = torch.empty(3, 3, 7, 7, device="cuda"), torch.empty(3, 2, device="cuda")
        factor = None if rank is None else torch.empty(rank, 27, device="cuda")
        kernel = construct(name)
        for actual in (
            kernel_matrix(kernel, x, factor=factor, memory=10**4),
            kernel_matrix(kernel, x, x[:2], factor, memory=10**4),
            predictor_agop(kernel, x, alphas, x[:2], factor, memory=10**4),
        ):
            assert actual.device == x.device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", registry.definitions("kernel"))
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("rank", [None, 20])
def test_a_gpu_computes_the_same(name, fused, rank):
    kernel, (x, z) = construct(name), photographs()
    on_gpu = compiled(kernel) if fused else kernel
    x, z = x[:8, ..., :11].double(), z[:7, ..., :11].double()  # so that a tile has no two sides of one length
    alphas, factor = torch.randn(len(x), 3).double(), None if rank is None else torch.randn(rank, 27).double()
    on_it = {"factor": None if factor is None else factor.cuda(), "memory": 10**6}  # several tiles
    assert_near(kernel_matrix(on_gpu, x.cuda(), **on_it).cpu(), kernel_matrix(kernel, x, factor=factor), 1e-9)
    assert_near(kernel_matrix(on_gpu, x.cuda(), z.cuda(), **on_it).cpu(), kernel_matrix(kernel, x, z, factor), 1e-9)
    actual = predictor_agop(on_gpu, x.cuda(), alphas.cuda(), z.cuda(), **on_it).cpu()
    assert_near(actual, predictor_agop(kernel, x, alphas, z, factor), 1e-9)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_of_fewer_digits_than_float32_has_are_refused(precision):
    x = torch.rand(3, 1, 6, 6)
    torch.set_float32_matmul_precision(precision)
    try:
        for compute in (lambda: kernel_matrix(CNTK(2), x), lambda: predictor_agop(CNTK(2), x, torch.ones(3, 2), x)):
            with pytest.raises(UserError, match=r"too low for kernels; call torch.set_float32_matmul_precision"):
                compute()
        kernel_matrix(CNTK(2), x.double())
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("kernel", [CNTK(2), Laplace()], ids=["cntk", "laplace"])
def test_tiles_of_all_sizes_are_compiled_once(monkeypatch, kernel):
    """To compile takes longer than most kernels, and after eight times for a function PyTorch gives up."""
    graphs = []

    def traced(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=traced))
    for count, side in ((37, 7), (30, 9)):
        monkeypatch.setattr(tiles, "CACHED", side**2 * 400)  # bytes: tiles of so many images, and smaller ones
        fused = compiled(kernel)
        x, alphas = torch.rand(count, 3, 12, 12), torch.randn(count, 4)
        kernel_matrix(fused, x)
        kernel_matrix(fused, x[:1], x)
        kernel_matrix(fused, x[:20, :1, :8, :9], x[:10, :1, :8, :9])
        predictor_agop(fused, x, alphas, x[:20])
        predictor_agop(fused, x, alphas, x[:7])
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
    assert ARRAYS * max(seen) <= memory


@settings(max_examples=30)
@given(cases(integers=False))
def test_a_kernel_of_x_is_that_of_x_and_x(case):
    """Also on the diagonal, where patches are equal up to rounding, which is taken for nothing."""
    kernel, x, z, factor = case
    x = torch.cat([x, z])
    assert_near(kernel_matrix(kernel, x, factor=factor), kernel_matrix(kernel, x, x, factor), 1e-9)


@pytest.mark.parametrize(
    ("kernel", "shape", "message"),
    [
        (CNTK(3, 3), (6, 9), "kernel: 3 convolutions of patch size 3 require images of at least 7 px; these are 6x9"),
        (
            CNTK(3, 3, 1),
            (9, 4),
            "kernel: 3 convolutions of patch size 3 require images of at least 5 px; these are 9x4",
        ),
        (
            Laplace(patch_size=4),
            (3, 3),
            "kernel: 1 convolutions of patch size 4 require images of at least 4 px; .* 3x3",
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
