"""From images to dataset.h5: the split, the limit, statistics of the channels."""

import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ansatz import registry
from ansatz.data.prepare import channel_statistics, prepare
from ansatz.data.raw import RawDataset
from ansatz.errors import UserError
from ansatz.files import dataset as dataset_file
from ansatz.files.dataset import Part, read_dataset
from ansatz.files.pools import Joined, OnDisk
from ansatz.registry import dataset


def test_the_split_is_fixed_and_limited(tmp_path):
    for name in ("a", "b"):
        prepare("digits", tmp_path, tmp_path / f"{name}.h5", limit=100)
    a, b = (read_dataset(tmp_path / f"{name}.h5") for name in "ab")
    assert a.fingerprint == b.fingerprint
    assert [len(a.parts[part]) for part in ("train", "validation")] == [80, 20]


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 4)))
def test_channel_statistics_are_mean_and_standard_deviation(images):
    mean, std = channel_statistics(np.array_split(images[::2], 2))
    np.testing.assert_allclose(mean, (images[::2] / 255).mean((0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(std, (images[::2] / 255).std((0, 2, 3)), atol=1e-7)


# ------------------------------------------------------------------------------------------------- a piece at a time
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 4), np.uint8)


@pytest.mark.parametrize(
    "pool",
    [
        OnDisk(IMAGES[i : i + 7] for i in range(0, 50, 7)),
        OnDisk(image.transpose(1, 2, 0).copy().transpose(2, 0, 1)[None] for image in IMAGES),
        Joined([IMAGES[:20], OnDisk([IMAGES[20:]])]),
    ],
    ids=["pieces", "single", "joined"],
)
@pytest.mark.parametrize(
    "rows", [slice(None), slice(3, 30, 2), np.array([41, 3, 19, 20, 3])], ids=["all", "slice", "any"]
)
def test_pools_are_indexed_like_arrays(pool, rows):
    assert (len(pool), pool.shape, pool.dtype, pool.ndim) == (50, IMAGES.shape, IMAGES.dtype, 4)
    np.testing.assert_array_equal(pool[rows], IMAGES[rows])
    assert type(pool[rows]) is np.ndarray


@pytest.mark.parametrize("limit", [None, 8])
@pytest.mark.parametrize("split", [True, False])
def test_no_more_images_are_read_at_once_than_a_piece_holds(tmp_path, monkeypatch, split, limit):
    """The dataset is the same as from memory."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    labels, read = np.arange(50) % 2, []

    class Watched(OnDisk):
        def __getitem__(self, rows):
            images = super().__getitem__(rows)
            read.append(len(images))
            return images

    def make(pool):
        held_out = {"validation": Part(pool([IMAGES[:20]]), labels[:20])} if split else {}
        return RawDataset(
            ["a", "b"], Part(pool([IMAGES]), labels), test=Part(pool([IMAGES[20:]]), labels[20:]), **held_out
        )

    monkeypatch.setattr(dataset_file, "PIECE", 5 * IMAGES[0].nbytes)
    for name, pool in {"disk": Watched, "memory": np.concatenate}.items():
        dataset(name=name)(lambda _, pool=pool: make(pool))
        prepare(name, tmp_path, tmp_path / f"{name}.h5", limit=limit)
    disk, memory = (read_dataset(tmp_path / f"{name}.h5") for name in ("disk", "memory"))
    assert disk.fingerprint == memory.fingerprint
    assert 0 < max(read) <= 5
    for part, images in memory.parts.items():
        np.testing.assert_array_equal(disk.parts[part].images, images.images)


def test_a_full_disk_of_temporary_files_is_named():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))  # bytes
    try:
        with pytest.raises(UserError, match=r"File too large; set TMPDIR to a disk with room for all images$"):
            OnDisk([np.zeros((9, 3, 64, 64), np.uint8)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
