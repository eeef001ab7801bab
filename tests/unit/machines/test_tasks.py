"""Tasks of kernel machines: what their images are, by the definition of their noise and of their classes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from ansatz.errors import UserError
from ansatz.files.dataset import Dataset, Part
from ansatz.machines.task import Task
from ansatz.machines.tasks import BAR, bars, framed, images

SIZES = {"train": 300, "test": 200}
TASKS = {"images": images, "framed": framed, "bars": bars}


def dataset(parts=("train", "validation", "test"), n=400, shape=(3, 4, 5)):
    """Return a dataset of which each image has one colour, by which it is known, and the label that goes with it."""
    found, rng = {}, np.random.default_rng(0)
    for number, name in enumerate(parts):
        colours = rng.permutation(60) + 80 * number
        pool = np.broadcast_to(np.resize(colours, n).astype(np.uint8)[:, None, None, None], (n, *shape))
        found[name] = Part(pool, np.resize(colours, n) % 7)
    return Dataset("one", tuple("0123456"), np.zeros(3), np.ones(3), found, "")


def colours(x):
    """Return the colours of images of one each, of 0..255."""
    assert np.ptp(x.reshape(len(x), -1), axis=1).max() == 0
    return np.rint(255 * x[:, 0, 0, 0]).astype(int)


def test_images_are_a_datasets_own_on_the_scale_of_1_with_their_labels():
    task = images(dataset(), **SIZES, seed=0)
    assert task.x_train.shape == (300, 3, 4, 5)
    assert task.x_test.shape == (200, 3, 4, 5)
    assert task.x_train.dtype == np.float32
    for x, y in ((task.x_train, task.y_train), (task.x_test, task.y_test)):
        assert (colours(x) % 7 == y).all()
    assert set(colours(task.x_train) // 80) == {0, 1}  # of the training and the validation part
    assert set(colours(task.x_test) // 80) == {2}


@pytest.mark.parametrize("parts", [("train", "validation"), ("train", "validation", "test")])
def test_no_image_is_learned_from_and_tested_on(parts):
    data = dataset(parts)
    numbered = {name: Part(one.pool, np.arange(400) + 1000 * k) for k, (name, one) in enumerate(data.parts.items())}
    data = replace(data, parts=numbered)
    task = images(data, **SIZES, seed=3)
    assert len(set(task.y_train)) == 300
    assert len(set(task.y_test)) == 200
    assert not set(task.y_train) & set(task.y_test)


@pytest.mark.parametrize(("x", "y"), [((3, 4, 4), (3,)), ((3, 1, 4, 4), (4,)), ((3, 1, 4, 4), (3, 1))])
def test_arrays_that_do_not_fit_together_are_refused(x, y):
    with pytest.raises(UserError, match=r"x_test has shape .*; they must be"):
        Task(np.zeros((3, 1, 4, 4)), np.zeros(3), np.zeros(x), np.zeros(y))


def test_the_seed_decides_which_images():
    first, again, other = (images(dataset(), **SIZES, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.x_train, again.x_train)
    assert (first.x_train != other.x_train).any()


@pytest.mark.parametrize("noise", [0.25, 4.0])
def test_framed_images_stand_anywhere_in_noise_of_a_quarter_of_the_level(noise):
    data, side = dataset(shape=(1, 4, 4)), 9
    task = framed(data, **SIZES, seed=0, noise=noise, frame=side)
    plain = images(data, **SIZES, seed=0)
    assert task.x_train.shape == (300, 1, side, side)
    np.testing.assert_array_equal(task.y_train, plain.y_train)
    places, around = set(), []
    for canvas, image in zip(task.x_train[:, 0], plain.x_train[:, 0], strict=True):
        found = [
            (row, column)
            for row in range(side - 3)
            for column in range(side - 3)
            if (canvas[row : row + 4, column : column + 4] == image).all()
        ]
        (row, column) = found[0]
        places.add((row, column))
        outside = np.ones((side, side), bool)
        outside[row : row + 4, column : column + 4] = False
        around.append(canvas[outside])
    assert places == {(row, column) for row in range(side - 3) for column in range(side - 3)}
    assert kstest(np.concatenate(around) / (noise / 4) ** 0.5, "norm").pvalue > 0.01


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_bars_are_rows_of_length_1_whose_sign_is_the_class_in_noise_of_that_length(noise):
    task = bars(None, **SIZES, seed=0, noise=noise)
    rows, columns = BAR
    assert task.x_train.shape == (300, 1, rows, columns)
    assert set(task.y_train) == {0, 1}
    where, rest = [], []
    for image, label in zip(task.x_train[:, 0], task.y_train, strict=True):
        ((row,),) = np.nonzero(np.ptp(image, axis=1) == 0)
        assert image[row] == pytest.approx((1 if label else -1) / columns**0.5)
        where.append(row)
        rest.append(np.delete(image, row, axis=0).ravel())
    assert set(where) == set(range(rows))
    assert kstest(np.concatenate(rest) / (noise / columns) ** 0.5, "norm").pvalue > 0.01


@pytest.mark.parametrize(("name", "changes"), [("bars", {}), ("framed", {"frame": 12})])
def test_levels_of_noise_differ_in_nothing_else(name, changes):
    data = None if name == "bars" else dataset(shape=(1, 4, 4))
    less, more = (TASKS[name](data, **SIZES, seed=0, noise=noise, **changes) for noise in (0.5, 2.0))
    np.testing.assert_array_equal(less.y_train, more.y_train)
    same = less.x_test == more.x_test  # what is no noise
    np.testing.assert_allclose(more.x_test[~same], 2 * less.x_test[~same], rtol=1e-6)
    assert same.any((1, 2, 3)).all()


def test_training_and_test_images_have_other_noise():
    task = bars(None, train=200, test=200, seed=0, noise=1.0)
    assert (task.x_test == task.x_train).mean() < 0.01  # but for bars that are alike
    assert (task.y_train != task.y_test).any()


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("images", {"train": 801}, "train: 801 is more than the 800 images of train and validation of one"),
        ("images", {"test": 401}, "test: 401 is more than the 400 images of test of one"),
        ("framed", {"frame": 4, "noise": 1.0}, "frame: 4 px is smaller than the images of one, 5 px"),
    ],
)
def test_more_than_there_is_is_refused_in_one_line(name, changes, line):
    with pytest.raises(UserError, match=f"^{line}$"):
        TASKS[name](dataset(), **SIZES | {"seed": 0} | changes)
