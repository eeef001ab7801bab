"""ConvRFM as an estimator of scikit-learn, and step by step."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from ansatz.errors import UserError
from ansatz.machines import convrfm
from ansatz.machines.cntk import CNTK
from ansatz.machines.convrfm import ConvRFM
from ansatz.machines.deep_convrfm import DeepConvRFM
from ansatz.machines.kernel_matrix import kernel_matrix
from ansatz.machines.laplace import Laplace
from ansatz.machines.ridge import kernel_ridge
from small_images import bars, small, stripes

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------- scikit-learn
@pytest.mark.parametrize(
    "estimator",
    [
        ConvRFM(patch_size=1, depth=1, dtype="float64"),
        ConvRFM("laplace", patch_size=1, dtype="float64"),
        DeepConvRFM(ConvRFM(patch_size=1, depth=2, dtype="float64", random_state=0)),
    ],
    ids=["cntk", "laplace", "deep"],
)
def test_they_are_estimators_of_scikit_learn(estimator):
    """In float64: scikit-learn compares predictions of an image among others and alone to 1e-7."""
    check_estimator(estimator, on_skip=None)


def test_what_is_no_set_of_images_and_labels_is_refused():
    (x, y), (new, _) = stripes(), stripes(side=7)
    with pytest.raises(ValueError, match="dim 3"):
        small().fit(x[:, 0], y)
    with pytest.raises(ValueError, match=r"dim 4, .* images must be"):
        small().fit(x[:, :0], y)
    for machine in (small(), DeepConvRFM(small())):
        with pytest.raises(NotFittedError):
            machine.features()
    with pytest.raises(
        UserError, match=r"^labels: all 60 images belong to class 0\.0; at least two classes are required$"
    ):
        small().fit(x, np.zeros(60))
    with pytest.raises(ValueError, match=r"images have the shape \(1, 7, 7\), but those of fit had \(1, 6, 6\)"):
        small(iterations=0).fit(x, y).predict(new)
    with pytest.raises(
        UserError, match=r"^kernel: 3 convolutions of patch size 3 require images of at least 7 px; these are 6x6$"
    ):
        small(depth=3).fit(x, y)


def test_a_table_is_images_of_one_pixel():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((50, 7))
    y = (table[:, 0] > 0).astype(int)
    machine = small(patch_size=1, depth=1)
    expected = clone(machine).fit(table[:, :, None, None], y).decision_function(table[:, :, None, None])
    assert np.array_equal(machine.fit(table, y).decision_function(table), expected)
    assert machine.M_.shape == (7, 7)
    assert machine.M_[0, 0] > 3 * np.diagonal(machine.M_)[1:].max()  # it alone decides


@pytest.mark.parametrize("deep", [False, True])
def test_labels_may_be_of_any_kind(deep):
    x, y = stripes()
    machine = DeepConvRFM(small(), width=8) if deep else small()
    expected, outputs = clone(machine).fit(x, y).predict(x), clone(machine).fit(x, y).decision_function(x)
    for names in (np.array(["row", "space", "way"]), np.array([-3, 7, 8]), np.array([0.5, 1.5, 2]).astype(object)):
        if names.dtype == object:
            names = names.astype(str).astype(object)
        machine.fit(x, names[y])
        assert np.array_equal(machine.classes_, names)
        assert np.array_equal(machine.predict(x), names[expected])
        assert np.array_equal(machine.decision_function(x), outputs)


def test_of_two_classes_there_is_one_output():
    x, y = stripes(classes=2)
    machine = small().fit(x, y)
    outputs = machine.regression_.outputs(torch.tensor(x))[machine._ridge].numpy()
    found = machine.decision_function(x)
    assert np.array_equal(found, outputs[:, 1] - outputs[:, 0])
    assert np.array_equal(machine.predict(x), outputs.argmax(1))


@pytest.mark.parametrize("deep", [False, True])
def test_the_same_random_state_gives_the_same_bits(deep):
    x, y = stripes()

    def fitted(seed):
        machine = small(random_state=seed)
        return (DeepConvRFM(machine, width=8) if deep else machine).fit(x, y)

    first, second, other = (fitted(seed).decision_function(x) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    first, second = (fitted(np.random.RandomState(5)).decision_function(x) for _ in range(2))
    assert np.array_equal(first, second)
    matrices = [one.M_ if deep else [one.M_] for one in (fitted(5), fitted(5))]
    assert all(np.array_equal(one, other) for one, other in zip(*matrices, strict=True))


# ------------------------------------------------------------------------------------------------- what it learns
@pytest.mark.parametrize("seed", [0, 1])
def test_features_make_it_more_accurate(seed):
    """Of 1000 images a share is known to 1.5 %; without features it is 70 %, with them 80 %."""
    (x, y), (new, labels) = bars(200, seed), bars(1000, seed + 1000)
    plain, learned = (ConvRFM(iterations=count, random_state=seed).fit(x, y) for count in (0, 3))
    assert learned.score(new, labels) > plain.score(new, labels) + 0.05
    # what tells bars from noise is whether they are bright: of a trace of 9, the constant patch has most
    constant = np.full(9, 1 / 3)
    assert constant @ learned.M_ @ constant > 4


def test_without_iterations_it_is_a_kernel_machine():
    """Whose ridge is selected, and which is then repeated on all images."""
    (x, y), (new, _) = stripes(), stripes(seed=1)
    machine = small(iterations=0).fit(x, y)
    assert machine.M_ is None
    assert [row["iteration"] for row in machine.history_] == [0, 0]
    ridge = max(machine.history_, key=lambda row: (row["accuracy"], -row["mse"]))["ridge"]
    expected = kernel_ridge(CNTK(2), torch.tensor(x), torch.eye(3)[y].double(), [ridge]).outputs(torch.tensor(new))[0]
    np.testing.assert_allclose(machine.decision_function(new), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "options", "expected"),
    [
        ("cntk", {"depth": 2, "padding": 1}, CNTK(2, 3, 1)),
        ("nngp", {"depth": 1, "patch_size": 2}, CNTK(1, 2, tangent=False)),
        ("laplace", {"kernel_options": {"bandwidth": 3.0}, "patch_size": 2}, Laplace(3.0, 2)),
    ],
)
def test_kernels_have_their_parameters(kernel, options, expected):
    x, y = stripes()
    assert small(kernel=kernel, iterations=0, **options).fit(x, y).regression_.kernel == expected


# ------------------------------------------------------------------------------------------------- its steps
def test_history_is_what_each_iteration_predicts():
    """Of the images selected on: the share whose largest output is right, and the squared error, of all classes."""
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    machine = small(selection="test").fit(x, y, new, labels)
    rows = machine.history_
    assert [list(row) for row in rows] == [["iteration", "ridge", "accuracy", "mse", "selected"]] * 6
    assert [(row["iteration"], row["ridge"]) for row in rows] == [
        (t, ridge) for t in range(3) for ridge in (1e-3, 1e-1)
    ]
    for row in rows:
        regression = machine.iterations_[row["iteration"]].regression
        outputs = regression.outputs(torch.tensor(new))[regression.ridges.index(row["ridge"])].numpy()
        assert row["accuracy"] == pytest.approx(np.mean(outputs.argmax(1) == labels))
        assert row["mse"] == pytest.approx(np.mean(((outputs - np.eye(3)[labels]) ** 2).sum(1)))
    best = max(rows, key=lambda row: (row["accuracy"], -row["mse"]))
    assert machine.iteration_ == best["iteration"]
    assert machine.score(new, labels) == best["accuracy"]
    assert machine.regression_ is machine.iterations_[machine.iteration_].regression
    assert machine.alphas_.shape == (60, 3)


@pytest.mark.parametrize(("agop_ridge", "sampling"), [("best", "first"), ("last", "first"), ("best", "random")])
def test_the_next_matrix_is_the_agop_of_a_ridge_on_a_sample(agop_ridge, sampling):
    """Times what makes its trace the patch's size; of all images where fewer are there than asked for."""
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    size = 7 if sampling == "first" else 1000
    machine = small(
        selection="test", agop_ridge=agop_ridge, sampling=sampling, sample_size=size, ridges=(1e1, 1e-1, 1e2)
    )
    machine.fit(x, y, new, labels)
    for before, after in zip(machine.iterations_, machine.iterations_[1:], strict=False):
        ranks = [(right, -error) for right, error in zip(before.accuracies, before.errors, strict=True)]
        assert ranks.index(max(ranks)) == 1  # neither the first nor the last
        ridge = 2 if agop_ridge == "last" else 1
        found = before.regression.agop(ridge, torch.tensor(x[:size])).numpy()
        np.testing.assert_allclose(after.matrix, found * 9 / np.trace(found), rtol=1e-9, atol=1e-12)
        factor = after.regression.factor.numpy()
        np.testing.assert_allclose(factor.T @ factor, after.matrix, rtol=1e-9, atol=1e-12)


def test_random_samples_are_others_in_each_iteration_and_none_twice(monkeypatch):
    x, y = stripes()
    taken = []
    agop = convrfm.KernelRidge.agop
    monkeypatch.setattr(
        convrfm.KernelRidge, "agop", lambda self, ridge, samples: taken.append(samples) or agop(self, ridge, samples)
    )
    small(sample_size=10).fit(x, y)
    numbers = [[int(abs(x - one.numpy()).sum((1, 2, 3)).argmin()) for one in samples] for samples in taken]
    assert [len(set(some)) for some in numbers] == [10, 10]
    assert set(numbers[0]) != set(numbers[1])


def test_a_power_of_2_multiplies_patches_by_the_matrix_itself():
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    machine = small(selection="test", sampling="first", power=2).fit(x, y, new, labels)
    plain = small(selection="test", sampling="first").fit(x, y, new, labels)
    m, regression = plain.iterations_[1].matrix, machine.iterations_[1].regression
    squared = m @ m * 9 / np.trace(m @ m)
    np.testing.assert_allclose(machine.iterations_[1].matrix, squared, rtol=1e-9, atol=1e-12)
    by_m = kernel_matrix(CNTK(2), torch.tensor(x), factor=torch.tensor(m))
    found = kernel_matrix(CNTK(2), torch.tensor(x), factor=regression.factor)
    np.testing.assert_allclose(found, by_m * 9 / np.trace(m @ m), rtol=1e-9)


@pytest.mark.parametrize(("threshold", "kept"), [(0.75, 3), (0.5, 5), (0.0, 9)])
def test_a_threshold_leaves_the_largest_eigenvalues(threshold, kept):
    """So many of 9, rounded up; M itself is left whole."""
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    options = {"selection": "test", "sampling": "first"}
    machine = small(threshold=threshold, **options).fit(x, y, new, labels)
    matrix = small(**options).fit(x, y, new, labels).iterations_[1].matrix
    np.testing.assert_allclose(machine.iterations_[1].matrix, matrix, rtol=1e-9, atol=1e-12)
    values, vectors = np.linalg.eigh(matrix)
    values[: 9 - kept] = 0
    factor = machine.iterations_[1].regression.factor
    assert factor.shape == (kept, 9)
    np.testing.assert_allclose(factor.mT @ factor, vectors * values @ vectors.T, rtol=1e-8, atol=1e-10)


def test_a_predictor_that_is_constant_has_no_features():
    machine = small(kernel="laplace").fit(np.ones((20, 1, 6, 6)), np.arange(20) % 2)
    assert [one.matrix for one in machine.iterations_] == [None] * 3
    assert machine.M_ is None
