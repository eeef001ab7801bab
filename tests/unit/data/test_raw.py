"""Nothing that a reader of datasets returns is used unchecked."""

import re

import numpy as np
import pytest

from ansatz.data.prepare import prepare
from ansatz.data.raw import RawDataset
from ansatz.errors import UserError
from ansatz.files.dataset import Part, read_dataset

IMAGES = np.zeros((4, 1, 2, 2), np.uint8)


def test_labels_of_any_type_are_kept_as_integers():
    for labels in ([0, 1, 1, 0], np.array([0, 1, 1, 0], np.float32), np.array([0, 1, 1, 0], np.uint8)):
        train = RawDataset(["a", "b"], Part(IMAGES, labels)).train
        assert train.labels.dtype == np.int64
        assert train.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Part(IMAGES, [0, 1, 1]), "train: 4 images, but labels (3,); each image must have one"),
        (Part(IMAGES, [0, 1, 1, 0, 1]), "train: 4 images, but labels (5,)"),
        (Part(IMAGES, [0, 1], np.arange(3)), "train: 3 images, but labels (2,)"),
        (Part(IMAGES, [[0], [1], [1], [0]]), "train: 4 images, but labels (4, 1)"),
        (Part(IMAGES, [0, 1, 2, 0]), "train: the label of image 2 is 2, but 2 classes are numbered from 0"),
        (Part(IMAGES, [0, 1, 0, -1]), "train: the label of image 3 is -1, but 2 classes are numbered from 0"),
        (Part(IMAGES, [0, 0.5, 1, 0]), "the label of image 1 is 0.5; it must be a whole number"),
        (Part(IMAGES, [0, np.nan, 1, 0]), "the label of image 1 is nan; it must be a whole number"),
        (Part(IMAGES, ["0", "1", "1", "0"]), "labels are <U1; they must be whole numbers"),
        (Part(IMAGES / 255, [0, 1, 1, 0]), "train: images are float64 (4, 1, 2, 2); they must be an array of uint8"),
        (Part(IMAGES[:, :, :0], [0, 1, 1, 0]), "train: images are uint8 (4, 1, 0, 2); they must be an array of uint8"),
        (Part(IMAGES[:, 0], [0, 1, 1, 0]), "train: images are uint8 (4, 2, 2); they must be an array of uint8 (N, C, "),
    ],
)
def test_what_is_wrong_is_one_line(part, expected):
    with pytest.raises(UserError, match=f"^{re.escape(expected)}"):
        RawDataset(["a", "b"], part)


def test_all_parts_are_checked():
    right = Part(IMAGES, [0, 1, 1, 0])
    with pytest.raises(UserError, match=r"^test: 4 images, but labels \(1,\)"):
        RawDataset(["a", "b"], right, test=Part(IMAGES, [0]))
    with pytest.raises(UserError, match=r"one shape, .* it is train \(1, 2, 2\), validation \(3, 2, 2\)$"):
        RawDataset(["a", "b"], right, validation=Part(IMAGES.repeat(3, 1), [0, 1, 1, 0]))


PLUGIN = """
import numpy as np

from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset


@dataset
def mine(folder):
    return RawDataset(["a", "b"], Part(np.zeros((6, 1, 4, 4), np.uint8), LABELS))
"""


def test_a_users_reader_is_named(plugin, tmp_path):
    plugin(PLUGIN.replace("LABELS", "[0, 1, 0, 1, 0, 1]"))
    prepare("mine", tmp_path, tmp_path / "dataset.h5")
    assert len(read_dataset(tmp_path / "dataset.h5").parts["train"]) == 5
    plugin(PLUGIN.replace("LABELS", "[0, 1, 0]").replace("def mine", "def wrong"))
    with pytest.raises(UserError, match=r"^wrong: train: 6 images, but labels"):
        prepare("wrong", tmp_path, tmp_path / "other.h5")
    assert not (tmp_path / "other.h5").exists()
