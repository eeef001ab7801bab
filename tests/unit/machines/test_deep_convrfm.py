"""Deep ConvRFM layer by layer, and as a network."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.base import clone

from ansatz.errors import UserError
from ansatz.machines.deep_convrfm import DeepConvRFM
from small_images import small, stripes

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------- layers
def test_the_first_layer_is_the_machine_of_that_seed():
    """So that what layers add is seen in pairs."""
    (x, y), (new, _) = stripes(), stripes(seed=1)
    deep, machine = DeepConvRFM(small(random_state=3), layers=2).fit(x, y), small(random_state=3).fit(x, y)
    assert np.array_equal(deep.machines_[0].decision_function(new), machine.decision_function(new))
    assert np.array_equal(next(deep.staged_predict(new)), machine.predict(new))
    assert np.array_equal(deep.M_[0], machine.M_)
    one = DeepConvRFM(small(random_state=3), layers=1).fit(x, y)
    assert np.array_equal(one.alphas_, machine.alphas_)
    assert one.filters_ == []
    assert one.history_ == [{"layer": 0} | row for row in machine.history_]


@pytest.mark.parametrize("nonlinearity", [None, "relu"])
@pytest.mark.parametrize("padding", [0, 1])
def test_each_layer_learns_from_what_the_filters_before_it_make(nonlinearity, padding):
    """With a kernel one convolution shallower, and the same images held out."""
    (x, y), (new, labels) = stripes(side=8), stripes(seed=1, side=8)
    prototype = small(depth=3, iterations=1, padding=padding)
    deep = DeepConvRFM(prototype, width=5, nonlinearity=nonlinearity).fit(x, y)
    assert [machine.depth for machine in deep.machines_] == [3, 2, 1]
    assert [filters.shape for filters in deep.filters_] == [(5, 1, 3, 3), (5, 5, 3, 3)]
    assert [matrix.shape for matrix in deep.M_] == [(9, 9), (45, 45), (45, 45)]
    assert [row["layer"] for row in deep.history_] == [0] * 4 + [1] * 4 + [2] * 4
    made, new_made = torch.tensor(x), torch.tensor(new)
    staged = list(deep.staged_predict(new))
    assert len(staged) == 3
    for layer, machine in enumerate(deep.machines_):
        if layer:
            filters = torch.from_numpy(deep.filters_[layer - 1]).double()
            made, new_made = (torch.conv2d(images, filters, padding=padding) for images in (made, new_made))
            if nonlinearity == "relu":
                made, new_made = made.clamp(min=0), new_made.clamp(min=0)
        expected = clone(machine).fit(made.numpy(), y)
        np.testing.assert_allclose(machine.regression_.images, made, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(machine.M_, expected.M_, rtol=1e-6, atol=1e-8)
        assert np.array_equal(staged[layer], expected.predict(new_made.numpy()))
    assert np.array_equal(deep.predict(new), staged[-1])
    assert deep.score(new, labels) == np.mean(staged[-1] == labels)
    held_out = [
        set(range(60))
        - {
            int(abs(machine.regression_.images - one).flatten(1).sum(1).argmin())
            for one in machine.iterations_[0].regression.images
        }
        for machine in deep.machines_
    ]
    assert len(held_out[0]) == 12
    assert held_out[0] == held_out[1] == held_out[2]


def test_layers_may_be_more_than_the_kernel_is_deep():
    x, y = stripes(side=8)
    deep = DeepConvRFM(small(depth=1, iterations=1), layers=3, width=4).fit(x, y)
    assert [machine.depth for machine in deep.machines_] == [1, 1, 1]
    assert [machine.regression_.images.shape[2] for machine in deep.machines_] == [8, 6, 4]


def test_layers_that_leave_no_image_are_refused_in_one_line():
    x, y = stripes(side=8)
    with pytest.raises(UserError, match=r"^kernel: .* require images of at least 3 px; these are 2x2$"):
        DeepConvRFM(small(depth=1, iterations=0), layers=4, width=4).fit(x, y)


def test_filters_have_the_covariance_m_of_trace_1():
    """Each entry of what 20000 filters have lies within 5 of its standard errors of it: there are 18²."""
    x, y = stripes()
    x = np.concatenate([x, x[::-1]], 1)  # two channels
    machine = small().fit(x, y)
    filters = DeepConvRFM(width=20000)._drawn(machine, 2, 0)
    assert filters.shape == (20000, 2, 3, 3)
    flat, expected = filters.reshape(20000, -1).astype(float), machine.M_ / np.trace(machine.M_)
    variances = np.diagonal(expected)
    standard_error = np.sqrt((np.outer(variances, variances) + expected**2) / 20000)
    assert (abs(flat.T @ flat / 20000 - expected) < 5 * standard_error).all()
    assert (abs(flat.mean(0)) < 5 * np.sqrt(variances / 20000)).all()
    assert kstest(flat[:, 0] / math.sqrt(variances[0]), "norm").pvalue > 1e-3
    again = DeepConvRFM(width=20000)._drawn(machine, 2, 0)
    assert np.array_equal(filters, again)
    assert not np.array_equal(filters, DeepConvRFM(width=20000)._drawn(machine, 2, 1))


def test_without_a_matrix_filters_are_pytorchs():
    """Uniform within one over the root of the patch's size; so it is where the first iteration is the best."""
    machine = small(final_m="selected")
    machine.M_ = None
    filters = DeepConvRFM(width=5000)._drawn(machine, 2, 0).reshape(-1) * math.sqrt(18)
    assert kstest(filters, "uniform", (-1, 2)).pvalue > 1e-3
    assert abs(filters).max() <= 1
    torch.manual_seed(0)
    default = torch.nn.Conv2d(2, 5000, 3).weight.detach().numpy().reshape(-1) * math.sqrt(18)
    assert kstest(default, "uniform", (-1, 2)).pvalue > 1e-3  # PyTorch's are such
    deep = DeepConvRFM(small(final_m="selected", iterations=0), width=8).fit(*stripes())
    assert deep.M_ == [None, None]
    assert abs(deep.filters_[0]).max() <= 1 / 3


def test_each_layer_has_filters_of_its_own():
    """Though all layers have one seed."""
    x, y = stripes(side=8)
    deep = DeepConvRFM(small(depth=1, iterations=0, patch_size=1), layers=3, width=1).fit(x, y)
    assert deep.filters_[0].shape == deep.filters_[1].shape
    assert not np.array_equal(deep.filters_[0], deep.filters_[1])


def test_selection_on_test_images_passes_them_through_the_layers():
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    deep = DeepConvRFM(small(selection="test"), width=8).fit(x, y, new, labels)
    for layer, predicted in enumerate(deep.staged_predict(new)):
        best = max(row["accuracy"] for row in deep.history_ if row["layer"] == layer)
        assert np.mean(predicted == labels) == best


def test_images_to_select_on_may_be_lists():
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    deep = DeepConvRFM(small(selection="test"), width=8).fit(x, y, new, labels)
    lists = DeepConvRFM(small(selection="test"), width=8).fit(x.tolist(), y.tolist(), new.tolist(), labels.tolist())
    assert lists.history_ == deep.history_


# ------------------------------------------------------------------------------------------------- as a network
@pytest.mark.parametrize("nonlinearity", [None, "relu"])
def test_features_are_those_of_a_network_of_its_filters(nonlinearity):
    """Whose layers look at what the machines look at, each with its matrix."""
    x, y = stripes(side=8)
    deep = DeepConvRFM(small(depth=2, padding=1), width=5, nonlinearity=nonlinearity).fit(x, y)
    network, matrices = deep.features()
    assert len(matrices) == 2
    for (layer, matrix), machine in zip(matrices.items(), deep.machines_, strict=True):
        assert isinstance(network.get_submodule(layer), torch.nn.Conv2d)
        assert matrix.shape == (machine.image_shape_[0], 3, 3)
        np.testing.assert_allclose(matrix.dense()[0], machine.M_, rtol=1e-6, atol=1e-8)
        with torch.no_grad():
            seen = network[: int(layer)](torch.tensor(x).float())
        np.testing.assert_allclose(seen, machine.regression_.images, rtol=1e-5, atol=1e-5)


def test_features_of_one_machine_are_its_matrix_and_without_one_there_are_none():
    x, y = stripes()
    machine = small().fit(x, y)
    network, matrices = machine.features()
    assert list(matrices) == ["0"]
    np.testing.assert_allclose(matrices["0"].dense()[0], machine.M_, rtol=1e-6, atol=1e-8)
    assert network[0].weight.shape[1:] == (1, 3, 3)
    assert small(iterations=0).fit(x, y).features()[1] == {}
    assert DeepConvRFM(small(iterations=0), width=4).fit(x, y).features()[1] == {}
