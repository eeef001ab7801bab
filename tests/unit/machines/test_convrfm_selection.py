"""Which ridge, iteration and matrix a ConvRFM selects, and on which images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone

from ansatz.errors import UserError
from ansatz.machines.cntk import CNTK
from ansatz.machines.convrfm import ConvRFM, Iteration
from ansatz.machines.deep_convrfm import DeepConvRFM
from ansatz.machines.ridge import kernel_ridge
from small_images import small, stripes

pytestmark = pytest.mark.usefixtures("one_thread")


def test_validation_holds_a_fifth_out_and_the_selected_is_repeated_on_all():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    machine = small().fit(x, y)
    learned_on = [one.regression.images.numpy() for one in machine.iterations_]
    assert {len(images) for images in learned_on} == {48}
    assert all(np.array_equal(images, learned_on[0]) for images in learned_on)
    held_out = [number for number, image in enumerate(x) if not (learned_on[0] == image).all((1, 2, 3)).any()]
    assert len(held_out) == 12
    for row in machine.history_:
        regression = machine.iterations_[row["iteration"]].regression
        outputs = regression.outputs(torch.tensor(x[held_out]))[regression.ridges.index(row["ridge"])].numpy()
        assert row["accuracy"] == pytest.approx(np.mean(outputs.argmax(1) == y[held_out]))
        assert row["mse"] == pytest.approx(np.mean(((outputs - np.eye(3)[y[held_out]]) ** 2).sum(1)))
    best = max(machine.history_, key=lambda row: (row["accuracy"], -row["mse"]))
    assert machine.iteration_ == best["iteration"]
    factor = machine.iterations_[machine.iteration_].regression.factor
    expected = kernel_ridge(CNTK(2), torch.tensor(x), torch.eye(3)[y].double(), [best["ridge"]], factor)
    assert machine.alphas_.shape == (60, 3)
    np.testing.assert_allclose(machine.alphas_, expected.alphas[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(machine.decision_function(new), expected.outputs(torch.tensor(new))[0], atol=1e-9)


@pytest.mark.parametrize("deep", [False, True])
def test_validation_never_looks_at_test_images(deep):
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    machine = DeepConvRFM(small(), width=8) if deep else small()
    without = clone(machine).fit(x, y)
    machine.fit(x, y, new, (labels + 1) % 3)
    assert np.array_equal(machine.decision_function(new), without.decision_function(new))
    assert machine.history_ == without.history_


@pytest.mark.parametrize("deep", [False, True])
def test_selection_on_test_images_takes_them(deep):
    x, y = stripes()
    machine = DeepConvRFM(small(selection="test"), width=8) if deep else small(selection="test")
    for given in ((), (None, y), (x, None)):
        with pytest.raises(
            UserError, match=r"^selection: 'test' requires images and labels .* X_test and y_test to fit$"
        ):
            machine.fit(x, y, *given)


@pytest.mark.parametrize("labels", [[1] * 10, [0, 7] * 5, [0, 2], [0]], ids=["unseen", "larger", "few", "one"])
def test_labels_to_select_on_that_do_not_fit_are_refused(labels):
    """As many as images, and of the classes of fit, 0 and 2 here."""
    x, y = stripes(classes=2)
    with pytest.raises((UserError, ValueError)):
        small(selection="test").fit(x, 2 * y, x[:10], labels)


def iteration(accuracies, errors, name):
    regression = SimpleNamespace(ridges=[1e-3, 1e-1][: len(accuracies)], name=name)
    return Iteration(name, regression, accuracies, errors)


@pytest.mark.parametrize(
    ("final_m", "ties", "accuracies", "errors", "selected", "matrix"),
    [
        ("learned", "error", [0.9, 0.8, 0.85], [1, 1, 1], 0, "M2"),  # the best but the first
        ("learned", "error", [0.9, 0.9, 0.9], [3, 1, 2], 1, "M1"),  # among equals that of the smaller error
        ("learned", "error", [0.9, 0.9, 0.9], [1, 1, 1], 0, "M1"),  # among equals the first
        ("selected", "first", [0.9, 0.9, 0.9], [3, 1, 2], 0, None),  # by accuracy alone, the first
        ("selected", "first", [0.8, 0.9, 0.9], [1, 3, 2], 1, "M1"),
        ("last", "error", [0.9, 0.95, 0.8], [1, 1, 1], 1, "M2"),
        ("learned", "error", [0.9], [1], 0, None),
        ("selected", "first", [0.9], [1], 0, None),
        ("last", "error", [0.9], [1], 0, None),
    ],
)
def test_which_iteration_is_selected_and_whose_matrix_is_passed_on(final_m, ties, accuracies, errors, selected, matrix):
    machine = ConvRFM(final_m=final_m, ties=ties)
    machine.iterations_ = [
        iteration([0.1, right], [0.0, error], f"M{number}" if number else None)
        for number, (right, error) in enumerate(zip(accuracies, errors, strict=True))
    ]
    regression, ridge = machine._selected()
    assert machine.iteration_ == selected
    assert matrix == machine.M_
    assert regression is machine.iterations_[selected].regression
    assert ridge == 1


def test_among_ridges_the_most_accurate_is_taken_then_the_one_of_the_smallest_error():
    one = iteration([0.9, 0.9], [2.0, 1.0], None)
    assert ConvRFM()._best_ridge(one) == 1
    assert ConvRFM(ties="first")._best_ridge(one) == 0
    assert ConvRFM()._best_ridge(iteration([0.9, 0.8], [2.0, 1.0], None)) == 0


@pytest.mark.parametrize(("final_m", "ties"), [("learned", "error"), ("selected", "first"), ("last", "error")])
def test_the_final_m_is_one_of_those_of_the_iterations(final_m, ties):
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    machine = small(selection="test", final_m=final_m, ties=ties).fit(x, y, new, labels)
    matrices = [one.matrix for one in machine.iterations_]
    accuracies = [max(one.accuracies) for one in machine.iterations_]
    if final_m == "last":
        assert machine.M_ is matrices[-1]
    elif final_m == "selected":
        assert machine.M_ is matrices[accuracies.index(max(accuracies))]
    else:
        assert any(machine.M_ is matrix for matrix in matrices[1:])
        assert accuracies[[one is machine.M_ for one in matrices].index(True)] == max(accuracies[1:])
