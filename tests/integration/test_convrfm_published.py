"""ConvRFM and Deep ConvRFM against the numbers of the authors' code."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ansatz.machines.convrfm import ConvRFM
from ansatz.machines.deep_convrfm import DeepConvRFM
from ansatz.machines.kernel_matrix import kernel_matrix, predictor_agop
from real_data import ROOT

REFERENCE = ROOT.parent / "shared" / "reference" / "convrfm_digits_small.npz"

pytestmark = pytest.mark.usefixtures("one_thread")


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
    theirs = {"sampling": "first", "selection": "test", "agop_ridge": "last", "ties": "first", "final_m": "selected"}
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
        actual = kernel_matrix(
            regression.kernel, regression.images[:20], regression.images[20:40], factor=regression.factor
        )
        expected = stored[f"{key}Ktrain_20x20"] * stored[f"{key}scale"] * scale_of_m(regression)
        np.testing.assert_allclose(actual, expected, rtol=1e-10 if first else 1e-7)
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
        actual = iteration.matrix / np.linalg.norm(iteration.matrix)
        if f"{key}M" in stored:
            expected = stored[f"{key}M"] / np.linalg.norm(stored[f"{key}M"])
            assert np.linalg.norm(actual - expected) < 1e-7
        else:
            norm = np.linalg.norm(stored[f"{key}M_eigs"])
            assert np.linalg.norm(np.linalg.eigvalsh(actual) - np.sort(stored[f"{key}M_eigs"]) / norm) < 1e-7
            assert np.linalg.norm(actual[:27, :27] - stored[f"{key}M_first27"] / norm) < 1e-7


def test_the_authors_agop_is_found_from_their_alphas(replayed):
    """Of samples that are among the images, between which angles of equal patches have no derivative."""
    stored, deep, _ = replayed
    for iteration, key, following in steps(deep):
        if (expected := stored.get(f"{following}agop_raw")) is not None:
            regression, alphas = iteration.regression, torch.from_numpy(stored[f"{key}alphas_last_reg"])
            images, factor = regression.images, regression.factor
            actual = predictor_agop(regression.kernel, images, alphas, images[:20], factor).numpy()
            actual /= scale_of_m(regression) ** 2
            assert np.linalg.norm(actual - expected) < 1e-8 * np.linalg.norm(expected)


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
