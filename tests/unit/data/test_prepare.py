"""From images to dataset.h5: the split, the limit, statistics of the channels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ansatz.data.prepare import channel_statistics, prepare
from ansatz.files.dataset import read_dataset


def test_the_split_is_fixed_and_limited(tmp_path):
    for name in ("a", "b"):
        prepare("digits", tmp_path, tmp_path / f"{name}.h5", limit=100)
    a, b = (read_dataset(tmp_path / f"{name}.h5") for name in "ab")
    assert a.fingerprint == b.fingerprint
    assert [len(a.parts[part]) for part in ("train", "validation")] == [80, 20]


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 4)))
def test_channel_statistics_are_mean_and_standard_deviation(images):
    mean, std = channel_statistics(images, np.arange(len(images))[::2])
    np.testing.assert_allclose(mean, (images[::2] / 255).mean((0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(std, (images[::2] / 255).std((0, 2, 3)), atol=1e-7)
