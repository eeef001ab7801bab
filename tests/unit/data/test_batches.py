"""What a network is fed with, against torchvision's transforms."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import normalize, resize, to_dtype

from ansatz.data import batches
from ansatz.data.batches import on_device
from ansatz.errors import UserError
from ansatz.files.dataset import Dataset, Part, read_dataset, write_dataset

CPU = torch.device("cpu")


def part(n=10, channels=3, side=9, seed=0):
    rng = np.random.default_rng(seed)
    return Part(rng.integers(0, 256, (n, channels, side, side), dtype=np.uint8), rng.integers(0, 5, n))


def images_of(part, mean=0.0, std=1.0, *, size=9, channels=3, **how):
    colours = part.pool.shape[1]
    mean, std = np.broadcast_to(mean, colours).copy(), np.broadcast_to(std, colours).copy()
    data = Dataset("made", ("a",), mean, std, {"train": part}, "")
    return on_device(data, size=size, channels=channels, device=CPU, **how)["train"]


@given(st.integers(5, 40), st.integers(5, 40), st.sampled_from([1, 3]))
def test_batches_are_torchvisions_resize_and_normalize(side, size, channels):
    images_part = part(channels=channels, side=side)
    mean, std = np.linspace(0.4, 0.5, channels), np.linspace(0.2, 0.3, channels)
    x, y = next(images_of(images_part, mean, std, size=size).batches(4))
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = to_dtype(torch.from_numpy(images_part.images[:4]), torch.float32, scale=True)
    expected = resize(expected, [size, size], antialias=size < side)
    expected = normalize(expected, list(mean), list(std)).expand(-1, 3, -1, -1)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)  # 1e-6 of the images' scale, divided by std
    assert y.tolist() == images_part.labels[:4].tolist()


def test_resizing_is_exact_to_1e_6_before_normalization():
    images_part = part(side=32)
    x, _ = next(images_of(images_part, size=224).batches(10))
    expected = resize(to_dtype(torch.from_numpy(images_part.images), scale=True), [224, 224], antialias=False)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-6)


def test_batches_cover_the_order_once():
    images = images_of(part())
    order = torch.tensor([3, 1, 4, 0, 5])
    sizes, labels = zip(*[(len(x), y.tolist()) for x, y in images.batches(2, order)], strict=True)
    assert sizes == (2, 2, 1)
    assert list(itertools.chain(*labels)) == images.labels[order].tolist()
    assert sum(len(x) for x, _ in images.batches(3)) == 10


def test_a_channel_that_does_not_vary_is_only_shifted():
    x, _ = next(images_of(part(), 0.5, 0.0).batches(10))
    assert torch.isfinite(x).all()


def test_colour_for_a_network_of_one_channel_is_refused():
    with pytest.raises(UserError, match=r"network\.in_channels: 1, but the images have 3; set it to 3"):
        images_of(part(), channels=1)


def test_the_training_sample_for_evaluation_is_as_large_as_validation_and_fixed():
    parts = {"train": part(40), "validation": part(7, seed=1)}
    data = Dataset("x", ("a",), np.zeros(3), np.ones(3), parts, "")
    a, b = (on_device(data, size=9, channels=3, device=CPU)["train_eval"] for _ in range(2))
    assert len(a) == 7
    assert torch.equal(a.rows, b.rows)
    assert a.pool.data_ptr() == b.pool.data_ptr(), "parts share the images"


@pytest.mark.parametrize("streamed", [1, 700, 2**26])
def test_images_beyond_the_memory_are_streamed_to_the_same_batches(monkeypatch, streamed):
    """In chunks of one batch, of several, of all; with a short last batch and an order that leaves images out."""
    monkeypatch.setattr(batches, "STREAMED", streamed)
    resident, beyond = images_of(part(), 0.4, 0.2), images_of(part(), 0.4, 0.2, memory=1)
    for order in (None, torch.tensor([7, 1, 2, 9, 3])):
        pairs = list(zip(beyond.batches(2, order), resident.batches(2, order), strict=True))
        assert all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in pairs)


def test_a_stream_that_fails_says_why(monkeypatch):
    images = images_of(part(), memory=1)
    with pytest.raises(IndexError):
        list(images.batches(2, torch.tensor([99])))


def test_images_stay_mapped_from_their_file(tmp_path):
    write_dataset(
        tmp_path / "d.h5",
        name="made",
        classes="a",
        mean=np.zeros(3),
        std=np.ones(3),
        pool=part(6),
        split={"train": np.array([4, 1, 5]), "validation": np.array([0, 2])},
        official_split=False,
        test=part(2, seed=1),
        provenance={},
    )
    parts = on_device(read_dataset(tmp_path / "d.h5"), size=9, channels=3, device=CPU)
    assert parts["train"].pool.data_ptr() == parts["validation"].pool.data_ptr() == parts["train_eval"].pool.data_ptr()
    x, y = next(parts["train"].batches(3))
    torch.testing.assert_close(x, torch.from_numpy(part(6).images[[4, 1, 5]] / np.float32(255)))
    assert y.tolist() == part(6).labels[[4, 1, 5]].tolist()


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("mean", [[0.4], [0.4, 0.5, 0.6]])
def test_images_are_normalised_by_other_statistics_than_the_datasets(colours, mean):
    std = [value / 2 for value in mean]
    data, means = part(channels=colours), torch.tensor(mean).view(-1, 1, 1)
    images = images_of(data, mean=0.1, std=0.2, normalisation={"mean": mean, "std": std})
    x, _ = next(images.batches(10))
    expected = (torch.from_numpy(data.pool).double() / 255 - means) / (means / 2)  # (10, colours or 3, 9, 9)
    torch.testing.assert_close(x.double(), expected.expand(-1, 3, -1, -1), rtol=1e-5, atol=1e-5)
