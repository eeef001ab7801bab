"""Recursive feature machines against the authors' code, as scikit-learn has estimators, and step by step."""

import math
import pickle
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from ansatz import rfm
from ansatz.errors import UserError
from ansatz.kernels import CNTK, Laplace, kernel_matrix, predictor_agop
from ansatz.regression import kernel_ridge
from ansatz.rfm import CHOICES, ConvRFM, DeepConvRFM
from real_data import ROOT

REFERENCE = ROOT.parent / "shared" / "reference" / "convrfm_digits_small.npz"

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------- the authors' code
RUNS = [  # of how many iterations and layers: the second layer's patches, of 64 channels, take long
    ("sqrt", 2, 1, {}),
    ("sqrt", 1, 2, {}),
    ("full", 1, 2, {"power": 2}),
    ("sqrt_pad", 1, 1, {"padding": 1}),
    ("sqrt_pad", 0, 2, {"padding": 1}),
    ("sqrt_thresh", 2, 1, {"threshold": 0.75}),
    ("sqrt_forced", 0, 2, {}),
    ("sqrt_sample_forced", 0, 2, {}),
]


class Injected(DeepConvRFM):
    """With given filters between the layers."""

    def _drawn(self, machine, channels, seed):
        return self.given


@pytest.fixture(scope="module")
def reference():
    if not REFERENCE.is_file():
        pytest.skip(f"no reference {REFERENCE}")
    with np.load(REFERENCE) as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: "-".join(map(str, run[:3])))
def replayed(request, reference):
    """Return what is stored of a run on 200 digits and 200 to test, and the same run."""
    (name, iterations, layers, options), digits = request.param, load_digits()
    x = np.pad(digits.images[reference["perm"]] / 16, ((0, 0), (2, 2), (2, 2)))[:, None]
    y = digits.target[reference["perm"]]
    theirs = {"sample": "first", "selection": "test", "alphas": "last_ridge", "best_m": "strict"}
    machine = ConvRFM(iterations=iterations, ridges=reference["regs"], dtype="float64", **theirs, **options)
    stored = {key.removeprefix(f"{name}."): value for key, value in reference.items()}
    deep = Injected(machine, layers=layers)
    deep.given = stored.get("ell1.weight")
    deep.fit(x[:200], y[:200], x[200:], y[200:])
    return stored, deep, np.eye(10)[y[:200]]


def steps(deep):
    """Yield each iteration, how its values' keys begin, and those of the next."""
    for layer, machine in enumerate(deep.machines_):
        for number, iteration in enumerate(machine.iterations_):
            yield iteration, f"ell{layer}.t{number}.", f"ell{layer}.t{number + 1}."


def scale_of_m(regression):
    """Return what our M is of the authors', whose trace is 1 before patches are multiplied by its root."""
    return 1.0 if regression.factor is None else float(regression.factor.square().sum())


def test_the_authors_errors_and_choices_are_found(replayed):
    stored, deep, _ = replayed
    for layer, machine in enumerate(deep.machines_):
        if (best := stored[f"ell{layer}.best_t"]) <= machine.iterations:
            assert machine.iteration_ == best
    for iteration, key, _ in steps(deep):
        assert iteration.regression.ridges == [1e-8, 1e-5, 1e-3]
        np.testing.assert_allclose(iteration.errors, stored[f"{key}mse_by_reg"], rtol=0, atol=1e-8)
        assert [100 * share for share in iteration.accuracies] == pytest.approx(stored[f"{key}acc_by_reg"], abs=1e-9)


def test_the_authors_kernels_are_found(replayed):
    """Of the first 20 images with the next 20, and what kernels are divided by: of an image with itself, hence 1e-8."""
    stored, deep, _ = replayed
    for iteration, key, _ in steps(deep):
        regression, first = iteration.regression, iteration.matrix is None  # others are known as well as M is
        found = kernel_matrix(
            regression.kernel, regression.images[:20], regression.images[20:40], factor=regression.factor
        )
        expected = stored[f"{key}Ktrain_20x20"] * stored[f"{key}scale"] * scale_of_m(regression)
        np.testing.assert_allclose(found, expected, rtol=1e-10 if first else 1e-7)
        expected = float(stored[f"{key}scale"] * scale_of_m(regression))
        assert regression.scale == pytest.approx(expected, rel=1e-8 if first else 1e-7)


def test_the_authors_matrices_are_found(replayed):
    """Up to their norm; of the second layer some entries are stored, and all eigenvalues."""
    stored, deep, _ = replayed
    for iteration, key, _ in steps(deep):
        if key.endswith("t0."):
            assert iteration.matrix is None
            continue
        assert np.trace(iteration.matrix) == pytest.approx(len(iteration.matrix))
        found = iteration.matrix / np.linalg.norm(iteration.matrix)
        if f"{key}M" in stored:
            expected = stored[f"{key}M"] / np.linalg.norm(stored[f"{key}M"])
            assert np.linalg.norm(found - expected) < 1e-7
        else:
            norm = np.linalg.norm(stored[f"{key}M_eigs"])
            assert np.linalg.norm(np.linalg.eigvalsh(found) - np.sort(stored[f"{key}M_eigs"]) / norm) < 1e-7
            assert np.linalg.norm(found[:27, :27] - stored[f"{key}M_first27"] / norm) < 1e-7


def test_the_authors_agop_is_found_from_their_alphas(replayed):
    """Of samples that are among the images, between which angles of equal patches have no derivative."""
    stored, deep, _ = replayed
    for iteration, key, following in steps(deep):
        if (expected := stored.get(f"{following}agop_raw")) is not None:
            regression, alphas = iteration.regression, torch.from_numpy(stored[f"{key}alphas_last_reg"])
            images, factor = regression.images, regression.factor
            found = predictor_agop(regression.kernel, images, alphas, images[:20], factor).numpy()
            found /= scale_of_m(regression) ** 2
            assert np.linalg.norm(found - expected) < 1e-8 * np.linalg.norm(expected)


def test_the_authors_alphas_solve_our_system(replayed):
    """They are not compared themselves, for the inverse of the kernel and a ridge of 1e-3 multiply its errors.

    Of an image with itself neural-tangents takes angles from rounding, so that its diagonal is known to 1e-8. What the
    alphas leave of the targets in a system with another diagonal is at most so many times the alphas, and if systems
    differed in anything else it would be more.
    """
    stored, deep, targets = replayed
    for iteration, key, _ in steps(deep):
        regression, alphas = iteration.regression, stored[f"{key}alphas_last_reg"]
        kernel = kernel_matrix(regression.kernel, regression.images, factor=regression.factor).numpy()
        left = kernel @ alphas / regression.scale + 1e-3 * alphas - targets
        assert abs(left).max() < 1e-8 * abs(alphas).max()


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


def stripes(n=60, seed=0, classes=3, side=6):
    """Return noisy images with a row, a column, or a square of a sign of its own, and which it is."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 1, side, side)) / 2, rng.integers(0, classes, n)
    at, sign = rng.integers(0, side - 1, n), rng.choice([-1, 1], n)
    for image, label, row, by in zip(x[:, 0], y, at, sign, strict=True):
        where = [slice(row, row + 1), slice(None)], [slice(None), slice(row, row + 1)], [slice(row, row + 2)] * 2
        image[tuple(where[label])] += 2 * by
    return x, y


def small(**changes):
    """Return a machine that takes milliseconds."""
    options = {"depth": 2, "iterations": 2, "dtype": "float64", "ridges": (1e-3, 1e-1), "random_state": 0}
    return ConvRFM(**options | changes)


def test_what_is_no_set_of_images_and_labels_is_refused():
    (x, y), (new, _) = stripes(), stripes(side=7)
    with pytest.raises(ValueError, match="dim 3"):
        small().fit(x[:, 0], y)
    with pytest.raises(ValueError, match=r"dim 4, .* images are"):
        small().fit(x[:, :0], y)
    for machine in (small(), DeepConvRFM(small())):
        with pytest.raises(NotFittedError):
            machine.features()
    with pytest.raises(UserError, match=r"^labels: all 60 are of one class, 0\.0;"):
        small().fit(x, np.zeros(60))
    with pytest.raises(ValueError, match=r"images are \(1, 7, 7\), and those of fit were \(1, 6, 6\)"):
        small(iterations=0).fit(x, y).predict(new)
    with pytest.raises(
        UserError, match=r"^kernel: 3 convolutions of patch size 3 take images of 7 px at least, .* 6x6$"
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
def bars(n, seed):
    """Return images of noise with a row that is bright or dark, and which (as of Beaglehole et al.'s proof)."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((n, 1, 12, 16)) / 4).astype("float32")
    y, row = rng.integers(0, 2, n), rng.integers(0, 12, n)
    x[np.arange(n), 0, row] = ((2 * y - 1) / 4)[:, None]
    return x, y


@pytest.mark.parametrize("seed", [0, 1])
def test_features_make_it_more_accurate(seed):
    """Of 1000 images a share is known to 1.5 %; without features it is 70 %, with them 80 %."""
    (x, y), (new, labels) = bars(200, seed), bars(1000, seed + 1000)
    plain, learnt = (ConvRFM(iterations=count, random_state=seed).fit(x, y) for count in (0, 3))
    assert learnt.score(new, labels) > plain.score(new, labels) + 0.05
    # what tells bars from noise is whether they are bright: of a trace of 9, the constant patch has most
    constant = np.full(9, 1 / 3)
    assert constant @ learnt.M_ @ constant > 4


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
        ("laplace", {"bandwidth": 3.0, "patch_size": 2}, Laplace(3.0, 2)),
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


@pytest.mark.parametrize(("alphas", "sample"), [("selected", "first"), ("last_ridge", "first"), ("selected", "random")])
def test_the_next_matrix_is_the_agop_of_a_ridge_on_some_images(alphas, sample):
    """Times what makes its trace the patch's size; of all images where fewer are there than asked for."""
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    samples = 7 if sample == "first" else 1000
    machine = small(selection="test", alphas=alphas, sample=sample, samples=samples, ridges=(1e1, 1e-1, 1e2))
    machine.fit(x, y, new, labels)
    for before, after in zip(machine.iterations_, machine.iterations_[1:], strict=False):
        ranks = [(right, -error) for right, error in zip(before.accuracies, before.errors, strict=True)]
        assert ranks.index(max(ranks)) == 1  # neither the first nor the last
        ridge = 2 if alphas == "last_ridge" else 1
        found = before.regression.agop(ridge, torch.tensor(x[:samples])).numpy()
        np.testing.assert_allclose(after.matrix, found * 9 / np.trace(found), rtol=1e-9, atol=1e-12)
        factor = after.regression.factor.numpy()
        np.testing.assert_allclose(factor.T @ factor, after.matrix, rtol=1e-9, atol=1e-12)


def test_random_samples_are_others_in_each_iteration_and_none_twice(monkeypatch):
    x, y = stripes()
    taken = []
    agop = rfm.KernelRidge.agop
    monkeypatch.setattr(
        rfm.KernelRidge, "agop", lambda self, ridge, samples: taken.append(samples) or agop(self, ridge, samples)
    )
    small(samples=10).fit(x, y)
    numbers = [[int(abs(x - one.numpy()).sum((1, 2, 3)).argmin()) for one in samples] for samples in taken]
    assert [len(set(some)) for some in numbers] == [10, 10]
    assert set(numbers[0]) != set(numbers[1])


def test_a_power_of_2_multiplies_patches_by_the_matrix_itself():
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    machine = small(selection="test", sample="first", power=2).fit(x, y, new, labels)
    plain = small(selection="test", sample="first").fit(x, y, new, labels)
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
    options = {"selection": "test", "sample": "first"}
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


# ------------------------------------------------------------------------------------------------- what is selected
def test_validation_holds_a_fifth_out_and_the_selected_is_repeated_on_all():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    machine = small().fit(x, y)
    learnt_on = [one.regression.images.numpy() for one in machine.iterations_]
    assert {len(images) for images in learnt_on} == {48}
    assert all(np.array_equal(images, learnt_on[0]) for images in learnt_on)
    held_out = [number for number, image in enumerate(x) if not (learnt_on[0] == image).all((1, 2, 3)).any()]
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
        with pytest.raises(UserError, match=r"^selection: 'test' takes images and labels .* X_test and y_test$"):
            machine.fit(x, y, *given)


@pytest.mark.parametrize("labels", [[1] * 10, [0, 7] * 5, [0, 2], [0]], ids=["unseen", "larger", "few", "one"])
def test_labels_to_select_on_that_do_not_fit_are_refused(labels):
    """As many as images, and of the classes of fit, 0 and 2 here."""
    x, y = stripes(classes=2)
    with pytest.raises((UserError, ValueError)):
        small(selection="test").fit(x, 2 * y, x[:10], labels)


def iteration(accuracies, errors, name):
    regression = SimpleNamespace(ridges=[1e-3, 1e-1][: len(accuracies)], name=name)
    return rfm.Iteration(name, regression, accuracies, errors)


@pytest.mark.parametrize(
    ("best_m", "accuracies", "errors", "selected", "matrix"),
    [
        ("learned", [0.9, 0.8, 0.85], [1, 1, 1], 0, "M2"),  # the best but the first
        ("learned", [0.9, 0.9, 0.9], [3, 1, 2], 1, "M1"),  # among equals that of the smaller error
        ("learned", [0.9, 0.9, 0.9], [1, 1, 1], 0, "M1"),  # among equals the first
        ("strict", [0.9, 0.9, 0.9], [3, 1, 2], 0, None),  # by accuracy alone, the first
        ("strict", [0.8, 0.9, 0.9], [1, 3, 2], 1, "M1"),
        ("last", [0.9, 0.95, 0.8], [1, 1, 1], 1, "M2"),
        ("learned", [0.9], [1], 0, None),
        ("strict", [0.9], [1], 0, None),
        ("last", [0.9], [1], 0, None),
    ],
)
def test_which_iteration_is_selected_and_whose_matrix_is_passed_on(best_m, accuracies, errors, selected, matrix):
    machine = ConvRFM(best_m=best_m)
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
    assert ConvRFM(best_m="strict")._best_ridge(one) == 0
    assert ConvRFM()._best_ridge(iteration([0.9, 0.8], [2.0, 1.0], None)) == 0


@pytest.mark.parametrize("best_m", ["learned", "strict", "last"])
def test_best_m_is_one_of_those_of_the_iterations(best_m):
    (x, y), (new, labels) = stripes(), stripes(seed=1)
    machine = small(selection="test", best_m=best_m).fit(x, y, new, labels)
    matrices = [one.matrix for one in machine.iterations_]
    accuracies = [max(one.accuracies) for one in machine.iterations_]
    if best_m == "last":
        assert machine.M_ is matrices[-1]
    elif best_m == "strict":
        assert machine.M_ is matrices[accuracies.index(max(accuracies))]
    else:
        assert any(machine.M_ is matrix for matrix in matrices[1:])
        assert accuracies[[one is machine.M_ for one in matrices].index(True)] == max(accuracies[1:])


# ------------------------------------------------------------------------------------------------- memory, parameters
def test_as_many_centres_as_images_are_all_of_them():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    expected = small().fit(x, y).decision_function(new)
    for centres in (60, 1000):
        assert np.array_equal(small(centres=centres).fit(x, y).decision_function(new), expected)


def test_fewer_centres_are_images_of_those_learnt_from():
    (x, y), (new, labels) = stripes(200), stripes(200, seed=1)
    machine = small(centres=30).fit(x, y)
    for regression in (machine.regression_, *(one.regression for one in machine.iterations_)):
        centres = regression.images.numpy()
        assert len(np.unique(centres, axis=0)) == len(centres) == 30
        assert all((x == one).all((1, 2, 3)).any() for one in centres)
    assert machine.alphas_.shape == (30, 3)
    exact = small().fit(x, y)
    assert 1 / 3 + 0.2 < machine.score(new, labels) < exact.score(new, labels)


def test_memory_does_not_change_what_is_learnt():
    (x, y), (new, _) = stripes(), stripes(seed=1)
    expected = small().fit(x, y)
    found = small(memory=10**6).fit(x, y)
    np.testing.assert_allclose(found.decision_function(new), expected.decision_function(new), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.M_, expected.M_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kernel", ["cntk", "laplace"])
def test_a_compiled_kernel_is_the_same_and_outlives_a_file(kernel):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    x, y = stripes()
    plain, compiled = (small(kernel=kernel, dtype="float64", compile=on).fit(x, y) for on in (False, True))
    np.testing.assert_allclose(compiled.M_, plain.M_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(compiled.alphas_, plain.alphas_, rtol=1e-8, atol=1e-8)
    assert type(compiled.regression_.kernel) is not type(plain.regression_.kernel)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(compiled)).predict(x), plain.predict(x))


@pytest.mark.parametrize("kernel", ["cntk", "laplace"])
def test_the_trace_of_m_is_another_bandwidth_and_nothing_to_the_cntk(kernel):
    (x, y), (new, _) = stripes(), stripes(seed=1)
    options = {"kernel": kernel, "iterations": 1, "sample": "first", "selection": "test", "alphas": "last_ridge"}
    ones = {norm: small(norm=norm, **options).fit(x, y, x, y).iterations_ for norm in CHOICES["norm"]}
    plain, agop = ones["none"][0].regression, ones["none"][1].matrix
    np.testing.assert_allclose(agop, plain.agop(1, torch.tensor(x[:20])), rtol=0, atol=1e-12 * np.trace(agop))
    ones = {norm: iterations[1] for norm, iterations in ones.items()}
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
    with pytest.raises(UserError, match=rf"^power: {power} takes M \(norm none\) out of float32's range; lower it$"):
        small(norm="none", power=power, dtype="float32").fit(x, y)


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
        ("samples", 0),
        ("sample", "last"),
        ("power", -1.0),
        ("power", float("nan")),
        ("threshold", None),
        ("threshold", -0.1),
        ("threshold", 1.0),
        ("selection", "train"),
        ("alphas", "first"),
        ("best_m", "best"),
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
    kernel = {"kernel": "laplace"} if name == "bandwidth" else {}
    with pytest.raises(UserError, match=rf"^{name}: .*{re.escape(repr(value))}.*$") as caught:
        small(**kernel | {name: value}).fit(x, y)
    assert "\n" not in str(caught.value)
    if (name, value) != ("patch_size", 0):
        with pytest.raises(UserError, match=rf"^{name}: "):
            DeepConvRFM(small(**kernel | {name: value}), width=8).fit(x, y)


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
    with pytest.raises(UserError, match=r"^images: numbers up to 1e\+300 are too large for torch.float32; scale them$"):
        machine.fit(np.where(x > 1, 1e300, x), y)
    machine.fit(x, y)
    with pytest.raises(UserError, match=r"^images: .*; scale "):
        machine.predict(x * 1e37)


def test_a_bandwidth_of_nothing_is_refused_in_one_line():
    x, y = stripes()
    with pytest.raises(UserError, match=r"^(images|kernel): [^\n]*$"):
        small(kernel="laplace", dtype="float32", bandwidth=1e-39).fit(x, y)


@pytest.mark.parametrize(
    ("name", "value"), [("nonlinearity", "tanh"), ("layers", 0), ("layers", -1), ("width", 0), ("width", None)]
)
def test_a_parameter_of_layers_out_of_range_is_refused_in_one_line_that_names_it(name, value):
    x, y = stripes()
    with pytest.raises(UserError, match=rf"^{name}: .*{re.escape(repr(value))}.*$") as caught:
        DeepConvRFM(small(), **{name: value}).fit(x, y)
    assert "\n" not in str(caught.value)


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
    with pytest.raises(UserError, match=r"^kernel: .* take images of 3 px at least, and these have 2x2$"):
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
    machine = small(best_m="strict")
    machine.M_ = None
    filters = DeepConvRFM(width=5000)._drawn(machine, 2, 0).reshape(-1) * math.sqrt(18)
    assert kstest(filters, "uniform", (-1, 2)).pvalue > 1e-3
    assert abs(filters).max() <= 1
    torch.manual_seed(0)
    default = torch.nn.Conv2d(2, 5000, 3).weight.detach().numpy().reshape(-1) * math.sqrt(18)
    assert kstest(default, "uniform", (-1, 2)).pvalue > 1e-3  # PyTorch's are such
    deep = DeepConvRFM(small(best_m="strict", iterations=0), width=8).fit(*stripes())
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
