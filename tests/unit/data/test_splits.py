"""The division into training and validation images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansatz.data.splits import read_split, stratified
from ansatz.files.dataset import Part, read_dataset, write_dataset

LABELS = np.repeat([0, 1, 2], [40, 35, 25])
SPLIT = {"train": np.arange(20, 100), "validation": np.arange(20)}


@pytest.fixture
def file(tmp_path):
    def write(official_split=False):
        images = np.arange(100, dtype=np.uint8).reshape(-1, 1, 1, 1)
        write_dataset(
            tmp_path / "dataset.h5",
            name="made",
            classes="abc",
            mean=np.ones(1),
            std=np.ones(1),
            pool=Part(images, LABELS),
            split=SPLIT,
            official_split=official_split,
            test=Part(images[:5], LABELS[:5]),
            provenance={},
        )
        return tmp_path / "dataset.h5"

    return write


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**63),
)
def test_each_class_gives_its_share(labels, share, seed):
    count = round(share * len(labels))
    chosen = stratified(labels, count, seed)
    assert chosen.sum() == count
    for label in set(labels.tolist()):
        of_class = labels == label
        assert abs(chosen[of_class].sum() - of_class.sum() * count / len(labels)) < 1


def test_each_image_is_chosen_equally_often():
    """The mean over 2,000 seeds is 0.2, with a standard error of 0.009."""
    often = np.mean([stratified(LABELS, 20, seed) for seed in range(2000)], axis=0)
    assert np.abs(often - 0.2).max() < 0.2 * 0.25
    assert abs(often.mean() - 0.2) < 1e-12


def test_the_images_are_divided_anew_for_each_seed(file):
    path, validation = file(), []
    for seed in range(5):
        parts = read_split(path, ["train", "validation", "test"], seed).parts
        train, held_out = parts["train"].images.ravel(), parts["validation"].images.ravel()
        assert sorted([*train, *held_out]) == list(range(100))
        assert np.array_equal(parts["validation"].labels, LABELS[held_out])
        assert np.array_equal(parts["train"].labels, LABELS[train])
        assert np.bincount(parts["validation"].labels).tolist() == [8, 7, 5]
        assert parts["test"].images.ravel().tolist() == list(range(5))
        validation.append(tuple(held_out))
    assert len(set(validation)) == 5


def test_a_seed_divides_the_same_way_whatever_parts_are_read(file):
    path = file()
    (whole, alone) = (read_split(path, parts, 3).parts for parts in (["train", "validation"], ["train"]))
    assert list(alone) == ["train"]
    assert np.array_equal(alone["train"].images, whole["train"].images)


@pytest.mark.parametrize(("official_split", "seed"), [(False, None), (True, 3)])
def test_the_division_in_the_file_stays_if_it_is_shared_or_official(file, official_split, seed):
    path = file(official_split)
    parts, expected = read_split(path, ["train", "validation"], seed).parts, read_dataset(path).parts
    for name in ("train", "validation"):
        assert np.array_equal(parts[name].images, expected[name].images)
