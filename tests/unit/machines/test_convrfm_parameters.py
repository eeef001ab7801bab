"""Memory, precision and the ranges of the parameters of ConvRFM and Deep ConvRFM."""

import math
import pickle
import re
import shutil

import numpy as np
import pytest
import torch

from ansatz.errors import UserError
from ansatz.machines.deep_convrfm import DeepConvRFM
from small_images import small, stripes

pytestmark = pytest.mark.usefixtures("one_thread")


def test_as_many_centres_as_images_are_all_of_them():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    expected = small().fit(x, y).decision_function(new)
    for centres in (60, 1000):
        assert np.array_equal(small(centres=centres).fit(x, y).decision_function(new), expected)


def test_fewer_centres_are_images_of_those_learned_from():
    (x, y), (new, labels) = stripes(200), stripes(200, seed=1)
    machine = small(centres=30).fit(x, y)
    for regression in (machine.regression_, *(one.regression for one in machine.iterations_)):
        centres = regression.images.numpy()
        assert len(np.unique(centres, axis=0)) == len(centres) == 30
        assert all((x == one).all((1, 2, 3)).any() for one in centres)
    assert machine.alphas_.shape == (30, 3)
    exact = small().fit(x, y)
    assert 1 / 3 + 0.2 < machine.score(new, labels) < exact.score(new, labels)


def test_memory_does_not_change_what_is_learned():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    expected = small().fit(x, y)
    found = small(memory=10**6).fit(x, y)
    np.testing.assert_allclose(found.decision_function(new), expected.decision_function(new), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.M_, expected.M_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kernel", ["cntk", "laplace"])
def test_a_compiled_kernel_is_the_same_and_outlives_a_file(kernel):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    x, y = stripes()  # of the CNTK in one layer, as each takes half a minute to compile
    plain, compiled = (small(kernel=kernel, depth=1, compile=on).fit(x, y) for on in (False, True))
    np.testing.assert_allclose(compiled.M_, plain.M_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(compiled.alphas_, plain.alphas_, rtol=1e-8, atol=1e-8)
    assert type(compiled.regression_.kernel) is not type(plain.regression_.kernel)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(compiled)).predict(x), plain.predict(x))


@pytest.mark.parametrize("kernel", ["cntk", "laplace"])
def test_the_trace_of_m_is_another_bandwidth_and_nothing_to_the_cntk(kernel):
    (x, y), (new, _) = stripes(), stripes(seed=1)
    options = {"kernel": kernel, "iterations": 1, "sampling": "first", "selection": "test", "agop_ridge": "last"}
    ones = {trace: small(trace=trace, **options).fit(x, y, x, y).iterations_ for trace in ("identity", "unit", "agop")}
    plain, agop = ones["agop"][0].regression, ones["agop"][1].matrix
    np.testing.assert_allclose(agop, plain.agop(1, torch.tensor(x[:20])), rtol=0, atol=1e-12 * np.trace(agop))
    ones = {trace: iterations[1] for trace, iterations in ones.items()}
    assert np.trace(ones["identity"].matrix) == pytest.approx(9)
    assert np.trace(ones["unit"].matrix) == pytest.approx(1)
    shapes = [one.matrix / np.trace(one.matrix) for one in ones.values()]
    outputs = [one.regression.outputs(torch.tensor(new)) for one in ones.values()]
    for matrix, output in zip(shapes[1:], outputs[1:], strict=True):
        np.testing.assert_allclose(matrix, shapes[0], rtol=0, atol=1e-12)
        assert torch.allclose(output, outputs[0], rtol=1e-9, atol=1e-9) == (kernel == "cntk")


@pytest.mark.parametrize("power", [60, 400])
def test_a_power_that_leaves_the_range_of_numbers_is_named(power):
    x, y = stripes()
    with pytest.raises(
        UserError, match=rf"^power: with {power} and trace: agop, M is out of the range of float32; lower it$"
    ):
        small(trace="agop", power=power, dtype="float32").fit(x, y)


def test_float32_is_near_float64():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    exact, found = small().fit(x, y), small(dtype="float32").fit(x, y)
    assert found.regression_.images.dtype == torch.float32
    # a kernel's 1e-7 beside a ridge of 1e-3
    np.testing.assert_allclose(found.decision_function(new), exact.decision_function(new), atol=1e-3)
    np.testing.assert_allclose(found.M_, exact.M_, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel", "rbf"),
        ("depth", 0),
        ("depth", 1.5),
        ("depth", None),
        ("padding", True),
        ("patch_size", 0),
        ("padding", -1),
        ("bandwidth", 0.0),
        ("bandwidth", -1.0),
        ("bandwidth", "wide"),
        ("iterations", -1),
        ("ridges", ()),
        ("ridges", (1e-3, -1e-3)),
        ("ridges", 1e-3),
        ("ridges", ("small",)),
        ("ridges", (1e-3, math.inf)),
        ("centres", 0),
        ("centres", -1),
        ("sample_size", 0),
        ("sampling", "last"),
        ("power", -1.0),
        ("power", float("nan")),
        ("threshold", None),
        ("threshold", -0.1),
        ("threshold", 1.0),
        ("selection", "train"),
        ("trace", "none"),
        ("agop_ridge", "first"),
        ("ties", "last"),
        ("final_m", "best"),
        ("dtype", "float16"),
        ("compile", "never"),
        ("device", "gpu"),
        ("device", 1.5),
        ("device", "meta"),
        ("memory", -1),
    ],
)
def test_a_parameter_out_of_range_is_refused_in_one_line_that_names_it(name, value):
    x, y = stripes()
    changes = {"kernel": "laplace", "kernel_options": {name: value}} if name == "bandwidth" else {name: value}
    with pytest.raises(UserError, match=rf"^{name}: .*{re.escape(repr(value))}.*$") as caught:
        small(**changes).fit(x, y)
    assert "\n" not in str(caught.value)
    if (name, value) != ("patch_size", 0):
        with pytest.raises(UserError, match=rf"^{name}: "):
            DeepConvRFM(small(**changes), width=8).fit(x, y)


@pytest.mark.parametrize("deep", [False, True])
def test_parameters_may_be_numpys_and_large(deep):
    """As a grid search has them; a power leaves the largest eigenvalue, however large it is."""
    x, y = stripes()
    machine = small(depth=np.int64(2), patch_size=np.int64(2), padding=np.int32(1), power=np.float32(300))
    machine = (DeepConvRFM(machine, width=np.int64(4)) if deep else machine).fit(x, y)
    first = machine.M_[0] if deep else machine.M_
    assert np.trace(first) == pytest.approx(4)
    assert np.linalg.eigvalsh(first)[-1] == pytest.approx(4)
    _, matrices = machine.features()
    assert len(matrices) == (2 if deep else 1)


@pytest.mark.parametrize("deep", [False, True])
def test_numbers_beyond_the_precision_are_refused_in_one_line(deep):
    x, y = stripes()
    machine = small(dtype="float32")
    machine = DeepConvRFM(machine, width=4) if deep else machine
    with pytest.raises(UserError, match=r"^images: values up to 1e\+300 are too large for torch.float32; scale them$"):
        machine.fit(np.where(x > 1, 1e300, x), y)
    machine.fit(x, y)
    with pytest.raises(UserError, match=r"^images: .*; scale "):
        machine.predict(x * 1e37)


def test_a_bandwidth_of_nothing_is_refused_in_one_line():
    x, y = stripes()
    with pytest.raises(UserError, match=r"^(images|kernel): [^\n]*$"):
        small(kernel="laplace", dtype="float32", kernel_options={"bandwidth": 1e-39}).fit(x, y)


@pytest.mark.parametrize(
    ("name", "value"), [("nonlinearity", "tanh"), ("layers", 0), ("layers", -1), ("width", 0), ("width", None)]
)
def test_a_parameter_of_layers_out_of_range_is_refused_in_one_line_that_names_it(name, value):
    x, y = stripes()
    with pytest.raises(UserError, match=rf"^{name}: .*{re.escape(repr(value))}.*$") as caught:
        DeepConvRFM(small(), **{name: value}).fit(x, y)
    assert "\n" not in str(caught.value)
