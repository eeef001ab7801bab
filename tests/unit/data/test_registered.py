"""Every registered dataset: from its real archives where they are at hand, else from small ones in their layout."""

import hashlib
import importlib
import inspect
import json
import pickle
import re
import shutil
import tarfile
import zipfile
from functools import cache

import h5py
import numpy as np
import pytest
from PIL import Image

from ansatz import registry
from ansatz.data.archives import fetch_archives, published_archives
from ansatz.data.prepare import prepare
from ansatz.errors import UserError
from ansatz.files.dataset import read_dataset
from real_data import ARCHIVES, SIZES, SUBSETS, at_hand
from upstream import UPSTREAM

DATASETS = registry.definitions("dataset")
PARTS = ("train", "validation", "test")


def small_archives(name, folder):
    """Make small archives of a dataset; return their folder, what is to be read, and their checksums."""
    made, archives = folder / "made", folder / "archives"
    made.mkdir()
    archives.mkdir()
    expected = UPSTREAM[name](made)
    for archive in published_archives(name):
        shutil.copy(made / archive.file, archives)
    shutil.rmtree(made)
    return archives, expected, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in archives.iterdir()}


# ------------------------------------------------------------------------------------------------- what they declare
@pytest.mark.parametrize("name", DATASETS)
def test_the_table_of_datasets_has_what_it_needs(name):
    """For the table in config/README.md, from the source alone, which is what an import of it registers."""
    definition = DATASETS[name]
    assert re.fullmatch(r"[^:]+: [^:]+\.", definition.summary), "the docstring begins with 'Name: what it shows.'"
    missing = {"images", "classes", "pixels"} - definition.declared.keys()
    assert not missing, f"declare {missing} in @dataset(...) of {definition.file}"
    assert re.fullmatch(r"[\d,]+( \+ ([\d,]+|–)){2}", definition.declared["images"])
    assert re.fullmatch(r"(`size`, )?\d+(, grey)?", definition.declared["pixels"])
    registered = registry.find("dataset", name).declared
    assert dict(definition.declared) == {key: registered[key] for key in definition.declared}


@pytest.mark.parametrize("name", [name for name, definition in DATASETS.items() if definition.declared.get("files")])
def test_archives_have_addresses_and_checksums(name):
    for archive in published_archives(name):
        assert archive.url.endswith(archive.file)
        assert len(archive.sha256) in (32, 64)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Prepare a dataset once; return whether its real archives are at hand, and its dataset.h5."""

    @cache
    def prepared(name):
        folder, real = tmp_path_factory.mktemp(name), at_hand(name)
        if real:
            checksums = SUBSETS.get(name, "")
            fetch_archives(name, folder / "archives", data_dir=str(ARCHIVES), url="", sha256=checksums)
        elif name in UPSTREAM:
            *_, checksums = small_archives(name, folder)
        else:
            pytest.skip(f"no archives of {name} in {ARCHIVES} (set ANSATZ_ARCHIVES), and none in upstream.py")
        prepare(name, folder / "archives", folder / "dataset.h5", sha256=checksums)
        assert sorted(path.name for path in folder.iterdir()) == ["archives", "dataset.h5"]
        return real, folder / "dataset.h5"

    return prepared


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_what_it_declares(name, prepared):
    (real, file), declared = prepared(name), DATASETS[name].declared
    data = read_dataset(file)
    side, grey = re.search(r"(\d+)(, grey)?$", declared["pixels"]).groups()
    assert declared.get("size") in (None, int(side))
    for part in data.parts.values():
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)
        assert part.images.shape == (len(part), 1 if grey else 3, int(side), int(side))
        assert set(part.labels) <= set(range(len(data.classes)))

    train, validation, test = (None if n == "–" else int(n.replace(",", "")) for n in declared["images"].split(" + "))
    assert ("test" in data.parts) == (test is not None)
    if validation is None:  # 20 % of the training images
        validation = round(0.2 * train)
        train -= validation
    sizes = [len(data.parts[part]) if part in data.parts else None for part in PARTS]
    if real:
        assert sizes == SIZES.get(name, [train, validation, test])
        assert len(data.classes) == declared["classes"]
        labels = np.concatenate([data.parts[part].labels for part in ("train", "validation")])
        assert sorted(set(labels)) == list(range(declared["classes"]))
    else:
        assert 0 < len(data.classes) <= declared["classes"]


# ------------------------------------------------------------------------------------------------- single ones
def test_digits(prepared):
    _, path = prepared("digits")
    data = read_dataset(path)
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 1438, "validation": 359}
    assert data.parts["train"].images.max() == 255
    assert data.classes == tuple("0123456789")
    with h5py.File(path) as file:
        assert file["images"].dtype == np.uint8
        assert file["labels"].dtype == np.int64
        indices = np.concatenate([file["split/train"][...], file["split/validation"][...]])
        assert json.loads(file.attrs["provenance"])["parameters"]["dataset"] == "digits"
    assert sorted(indices) == list(range(1797))
    train = data.parts["train"].images / 255
    assert data.mean == pytest.approx([train.mean()])
    assert data.std == pytest.approx([train.std()])


def test_pixels_of_cifar10_are_those_of_its_pickle(archives, prepared):
    with tarfile.open(archives / "cifar-10-python.tar.gz") as packed:
        batch = pickle.load(packed.extractfile("cifar-10-batches-py/data_batch_1"), encoding="bytes")
    with h5py.File(prepared("cifar10")[1]) as file:
        assert (file["images"][:100].reshape(100, -1) == batch[b"data"][:100]).all()
        assert file["labels"][:100].tolist() == batch[b"labels"][:100]
        assert file["classes"].asstr()[0] == "airplane"


def test_pixels_of_tiny_imagenet_are_those_of_its_pictures(archives, prepared):
    root = "tiny-imagenet-200"
    with zipfile.ZipFile(archives / f"{root}.zip") as packed, h5py.File(prepared("tiny_imagenet")[1]) as file:
        wnids = sorted(packed.read(f"{root}/wnids.txt").decode().split())
        lines = packed.read(f"{root}/val/val_annotations.txt").decode().splitlines()
        for place, line in enumerate(lines[:100]):
            name, wnid = line.split("\t")[:2]
            picture = np.asarray(Image.open(packed.open(f"{root}/val/images/{name}")).convert("RGB"))
            np.testing.assert_array_equal(file["test/images"][place], picture.transpose(2, 0, 1))
            assert file["test/labels"][place] == wnids.index(wnid)


# ------------------------------------------------------------------------------------------------- upstream's layouts
@pytest.mark.parametrize("name", UPSTREAM)
def test_archives_in_upstreams_layout(tmp_path, name):
    folder, (classes, parts), _ = small_archives(name, tmp_path)
    registered = registry.find("dataset", name)
    raw = registered.object(folder, *([size] if (size := registered.declared["size"]) else []))
    assert raw.classes == classes
    for part in PARTS:
        read = getattr(raw, part)
        if part not in parts:
            assert read is None
            continue
        images, labels = parts[part]
        assert (read.images.dtype, read.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(read.images, images)
        np.testing.assert_array_equal(read.labels, labels)


def test_a_datasets_own_validation_part_is_kept_and_limited(tmp_path):
    folder, (_, parts), checksums = small_archives("pcam", tmp_path)
    prepare("pcam", folder, tmp_path / "all.h5", sha256=checksums)
    data = read_dataset(tmp_path / "all.h5")
    for part, (images, labels) in parts.items():
        np.testing.assert_array_equal(data.parts[part].images, images)
        np.testing.assert_array_equal(data.parts[part].labels, labels)
    assert data.mean == pytest.approx((parts["train"][0] / 255).mean((0, 2, 3)))
    prepare("pcam", folder, tmp_path / "some.h5", sha256=checksums, limit=3)
    assert [len(part) for part in read_dataset(tmp_path / "some.h5").parts.values()] == [3, 3, 3]


@pytest.mark.parametrize(("size", "side"), [(None, 64), (48, 48)])
def test_images_that_vary_in_size_are_resized(tmp_path, size, side):
    folder, _, checksums = small_archives("dtd", tmp_path)
    prepare("dtd", folder, tmp_path / "dataset.h5", size=size, sha256=checksums)
    assert read_dataset(tmp_path / "dataset.h5").parts["train"].images.shape == (2, 3, side, side)


def test_an_md5_is_checked_until_a_sha256_is_given(tmp_path):
    folder, _, checksums = small_archives("emnist", tmp_path)
    with pytest.raises(UserError, match=r"gzip.zip: its md5 is \w{32}, not 58c8d27c78d21e728a6bc7b3cc06412e") as caught:
        prepare("emnist", folder, tmp_path / "dataset.h5")
    assert "\n" not in str(caught.value)
    prepare("emnist", folder, tmp_path / "dataset.h5", sha256=checksums["gzip.zip"])
    assert len(read_dataset(tmp_path / "dataset.h5").parts["test"]) == 5


@pytest.mark.parametrize("name", [name for name in UPSTREAM if name != "imagenet32"])  # which torchvision has not
def test_addresses_and_checksums_are_torchvisions(name):
    module = {"fashion_mnist": "mnist", "emnist": "mnist", "qmnist": "mnist", "caltech101": "caltech"}.get(name, name)
    source = inspect.getsource(importlib.import_module(f"torchvision.datasets.{module}"))
    for archive in published_archives(name):
        assert archive.file.removesuffix(".gz") in source
        assert archive.url.rpartition("/")[0] in source or name == "pcam"  # Zenodo's, in the place of Google Drive's
        assert archive.sha256 in source or name == "fgvc_aircraft"  # which torchvision does not check


# ------------------------------------------------------------------------------------------------- a user's
PLUGIN = '''
import numpy as np

from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset


@dataset("https://example.org", {"noise.npy": "CHECKSUM"}, size=6, images="10 + – + –", classes=2, pixels="`size`, 6")
def my_noise(folder, size):
    """My noise: nothing at all."""
    images = np.load(folder / "noise.npy").repeat(size, axis=2).repeat(size, axis=3)
    return RawDataset(["dark", "bright"], Part(images, np.arange(len(images)) % 2))


@dataset
def constant(folder):
    """A constant: nothing at all."""
    return RawDataset(["a", "b"], Part(np.full((5, 1, 4, 4), 7, np.uint8), np.arange(5) % 2))
'''


def test_a_dataset_from_a_file_of_the_users(plugin, tmp_path):
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data/noise.npy", np.arange(30, dtype=np.uint8).reshape(10, 3, 1, 1))
    checksum = hashlib.sha256((tmp_path / "data/noise.npy").read_bytes()).hexdigest()
    with pytest.raises(UserError, match="my_noise"):
        prepare("my_noise", tmp_path, tmp_path / "dataset.h5")
    plugin(PLUGIN.replace("CHECKSUM", checksum))
    definition = registry.definitions("dataset")["my_noise"]
    assert (definition.summary, definition.declared["classes"]) == ("My noise: nothing at all.", 2)
    fetch_archives("my_noise", tmp_path / "archives", data_dir=str(tmp_path / "data"), url="", sha256="")
    for size, side in ((None, 6), (3, 3)):
        prepare("my_noise", tmp_path / "archives", tmp_path / "dataset.h5", size=size)
        data = read_dataset(tmp_path / "dataset.h5")
        assert data.classes == ("dark", "bright")
        assert [len(data.parts[part]) for part in ("train", "validation")] == [8, 2]
        assert data.parts["train"].images.shape[1:] == (3, side, side)


def test_registering_a_dataset_is_one_function(plugin, tmp_path):
    plugin(PLUGIN)
    prepare("constant", tmp_path, tmp_path / "dataset.h5")
    assert len(read_dataset(tmp_path / "dataset.h5").parts["train"]) == 4
