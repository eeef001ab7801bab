"""What every registered task must be, one's own too: each check raises an AssertionError about a wrong one."""

import numpy as np

from ansatz import registry
from ansatz.files.dataset import Dataset, Part

TRAIN, TEST = 60, 40


def dataset(n=80, shape=(3, 4, 5)):
    """Return a dataset of random images of four classes."""
    rng = np.random.default_rng(0)
    parts = {
        name: Part(rng.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n) % 4)
        for name in ("train", "validation", "test")
    }
    return Dataset("random", tuple("0123"), np.zeros(3), np.ones(3), parts, "")


def make(name, seed=0, **options):
    task = registry.find("task", name)
    return task.object(dataset() if task.declared["of_dataset"] else None, TRAIN, TEST, seed, **options)


def arrays(task):
    return task.x_train, task.y_train, task.x_test, task.y_test


def gives_images_and_labels(name, **options):
    task = make(name, **options)
    for x, y, count in ((task.x_train, task.y_train, TRAIN), (task.x_test, task.y_test, TEST)):
        assert (x.dtype, x.ndim, len(x)) == (np.float32, 4, count), f"images are {x.dtype} {x.shape}"
        assert (y.dtype, y.shape) == (np.int64, (count,)), f"labels are {y.dtype} {y.shape}"
        assert np.isfinite(x).all(), "images are not finite"
        assert len(np.unique(y)) > 1, "there is a single class"
    assert task.x_train.shape[1:] == task.x_test.shape[1:], "training and test images differ in their size"


def is_drawn_from_the_seed(name, **options):
    first, again, other = (arrays(make(name, seed, **options)) for seed in (0, 0, 1))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True)), "one seed gives two tasks"
    assert not np.array_equal(first[0], other[0]), "another seed gives the same images"


def tests_on_other_images(name, **options):
    """Noise makes all images different, those of a task without noise are different themselves."""
    noisy = {"noise": 1.0} if "noise" in registry.find("task", name).types else {}
    task = make(name, **noisy | options)
    images = {image.tobytes() for image in task.x_train}
    assert not any(image.tobytes() in images for image in task.x_test), "a training image is a test image too"


def levels_of_noise_share_their_images(name, **options):
    """Their difference is the same noise, in proportion to the root of the level; labels are the same."""
    if "noise" not in registry.find("task", name).types:
        return
    none, low, high = (make(name, noise=level, **options) for level in (0.0, 1.0, 4.0))
    assert np.array_equal(low.y_train, high.y_train), "labels depend on the level of noise"
    assert np.array_equal(low.y_test, high.y_test), "labels depend on the level of noise"
    for clean, little, much in zip(*(arrays(each)[::2] for each in (none, low, high)), strict=True):
        assert (little != clean).any(), "noise changes nothing"
        message = "images or noise depend on the level of noise"
        np.testing.assert_allclose(much - clean, 2 * (little - clean), rtol=1e-4, atol=1e-5, err_msg=message)


CHECKS = (
    gives_images_and_labels,
    is_drawn_from_the_seed,
    tests_on_other_images,
    levels_of_noise_share_their_images,
)
