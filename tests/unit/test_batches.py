"""What a network is fed with, against torchvision's transforms."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import normalize, resize, to_dtype

from ansatz.batches import Images, on_device, take_device
from ansatz.errors import UserError
from ansatz.store import Dataset, Part

CPU = torch.device("cpu")


def part(n=10, channels=3, side=9, seed=0):
    rng = np.random.default_rng(seed)
    return Part(rng.integers(0, 256, (n, channels, side, side), dtype=np.uint8), rng.integers(0, 5, n))


@given(st.integers(5, 40), st.integers(5, 40), st.sampled_from([1, 3]))
def test_batches_are_torchvisions_resize_and_normalize(side, size, channels):
    given_part = part(channels=channels, side=side)
    mean, std = np.linspace(0.4, 0.5, channels), np.linspace(0.2, 0.3, channels)
    x, y = Images(given_part, mean, std, size=size, channels=3, device=CPU).batch(slice(0, 4))
    expected = to_dtype(torch.from_numpy(given_part.images[:4]), torch.float32, scale=True)
    expected = resize(expected, [size, size], antialias=size < side)
    expected = normalize(expected, list(mean), list(std)).expand(-1, 3, -1, -1)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)  # 1e-6 of the images' scale, divided by std
    assert y.tolist() == given_part.labels[:4].tolist()


def test_resizing_is_exact_to_1e_6_before_normalization():
    given_part = part(side=32)
    x, _ = Images(given_part, np.zeros(3), np.ones(3), size=224, channels=3, device=CPU).batch(slice(None))
    expected = resize(to_dtype(torch.from_numpy(given_part.images), scale=True), [224, 224], antialias=False)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-6)


def test_batches_cover_the_order_once():
    images = Images(part(), np.zeros(3), np.ones(3), size=9, channels=3, device=CPU)
    order = torch.tensor([3, 1, 4, 0, 5])
    sizes, labels = zip(*[(len(x), y.tolist()) for x, y in images.batches(2, order)], strict=True)
    assert sizes == (2, 2, 1)
    assert list(itertools.chain(*labels)) == images.labels[order].tolist()
    assert sum(len(x) for x, _ in images.batches(3)) == 10


def test_a_channel_that_does_not_vary_is_only_shifted():
    x, _ = Images(part(), np.full(3, 0.5), np.zeros(3), size=9, channels=3, device=CPU).batch(slice(None))
    assert torch.isfinite(x).all()


def test_colour_for_a_network_of_one_channel_is_refused():
    with pytest.raises(UserError, match="in_channels: 1, but the images have 3; give it 3"):
        Images(part(), np.zeros(3), np.ones(3), size=9, channels=1, device=CPU)


def test_the_training_sample_for_evaluation_is_as_large_as_validation_and_fixed():
    parts = {"train": part(40), "validation": part(7, seed=1)}
    data = Dataset("x", ("a",), np.zeros(3), np.ones(3), parts, "")
    a, b = (on_device(data, size=9, channels=3, device=CPU)["train_eval"] for _ in range(2))
    assert len(a) == 7
    assert torch.equal(a.images, b.images)


def test_an_absent_gpu_is_named():
    with pytest.raises(UserError, match="cuda:7 is not there"):
        take_device("cuda:7", threads=1)
    assert take_device("auto", threads=torch.get_num_threads()).type in ("cpu", "cuda")
