"""Datasets, features, snapshots and learned features: read back, refused when broken, whole or not written at all."""

import os
import re
import resource

import h5py
import numpy as np
import pytest
from torch import nn

from ansatz.errors import UserError
from ansatz.files.atomic import write_text
from ansatz.files.dataset import Part, read_dataset, write_dataset
from ansatz.files.evolution import Evolution, LayerEvolution, read_evolution, write_evolution
from ansatz.files.features import KINDS, Features, read_features, write_features
from ansatz.files.hdf5 import read_attributes
from ansatz.files.learned import LearnedFeatures, read_learned, write_learned
from ansatz.networks.weights import save_weights
from disks import mounted

RNG = np.random.default_rng(0)
LAYERS = ("features.8", "features.0", "features.10", "features.5")  # in no alphabetical order


def a_dataset(path, n=10):
    part = Part(RNG.integers(0, 256, (n, 3, 32, 32), np.uint8), RNG.integers(0, 2, n))
    split = {"train": np.arange(n - 2), "validation": np.arange(n - 2, n)}
    about = {"classes": ["a", "b"], "mean": np.ones(3), "std": np.ones(3), "official_split": False}
    test = part.subset(np.array([2, 0]))
    write_dataset(path, name="x", pool=part, split=split, test=test, provenance={"seed": 3}, **about)
    return part


def features(path):
    factors = {kind: {layer: RNG.normal(size=(1, 30, 30)).astype(np.float32) for layer in LAYERS} for kind in KINDS}
    geometry = {layer: {"groups": 1, "kernel_size": (3, 3)} for layer in LAYERS}
    content = Features(factors, geometry, {"images": 256, "source": "x"}, dict.fromkeys(LAYERS, 0.25))
    write_features(path, content, {"seed": 3})
    return content


def learned(path):
    matrices, saliency = (dict.fromkeys(LAYERS, RNG.normal(size=size)) for size in [(27, 27), (2, 20, 20)])
    content = LearnedFeatures(np.ones((2, 3, 9, 9)), matrices, dict.fromkeys(LAYERS, (3, 2, 5)), saliency)
    write_learned(path, content, {"seed": 3})
    return content


def evolution(path):
    correlations = {pair: RNG.normal(size=5) for pair in ("nfm_final_nfm", "agop_final_agop")}
    arrays = (RNG.normal(size=size) for size in [(5, 8, 3, 3, 3), (5, 1, 9, 27), (5, 8, 9, 9)])
    layers = dict.fromkeys(LAYERS, LayerEvolution(*arrays, correlations))
    content = Evolution({"epoch": np.arange(5)}, layers, np.zeros((3, 8, 8), np.uint8), "lenet")
    write_evolution(path, content, {"seed": 3})
    return content


def text(path):
    write_text(path, "text" * 1000)


def weights(path):
    save_weights(nn.Linear(64, 64), path)


READ = {a_dataset: read_dataset, features: read_features, learned: read_learned, evolution: read_evolution}


def flat(content, name=""):
    """List the leaves of nested dataclasses and mappings, in order."""
    members = vars(content) if hasattr(content, "__dataclass_fields__") else content
    if not isinstance(members, dict):
        return [(name, np.asarray(content).tolist())]
    return [leaf for key, member in members.items() for leaf in flat(member, f"{name}/{key}")]


# ------------------------------------------------------------------------------------------------- read back
def test_a_dataset_reads_back(tmp_path):
    part = a_dataset(tmp_path / "d.h5")
    data = read_dataset(tmp_path / "d.h5")
    assert (data.parts["train"].images == part.images[:8]).all()
    assert (data.parts["validation"].labels == part.labels[8:]).all()
    assert (data.parts["test"].images == part.images[[2, 0]]).all()
    assert list(read_dataset(tmp_path / "d.h5", parts=["train"]).parts) == ["train"]
    assert data.fingerprint == read_attributes(tmp_path / "d.h5")["fingerprint"]


def test_only_used_images_of_a_dataset_take_memory(tmp_path):
    a_dataset(tmp_path / "d.h5")
    parts = read_dataset(tmp_path / "d.h5").parts
    assert all(isinstance(part.pool, np.memmap) for part in parts.values())
    assert parts["train"].pool is parts["validation"].pool
    parts["train"].pool[0] = 0
    assert read_dataset(tmp_path / "d.h5").parts["train"].images[0].any(), "changes must not reach the file"


@pytest.mark.parametrize("write", [features, learned, evolution])
def test_content_reads_back_in_order(tmp_path, write):
    content = write(tmp_path / "x.h5")
    expected, actual = flat(content), flat(READ[write](tmp_path / "x.h5"))
    assert [leaf for leaf in actual if leaf[0] not in ("/attributes/fingerprint", "/attributes/provenance")] == expected


LAYOUT = {
    a_dataset: {"images", "labels", "split/train", "split/validation", "test/images", "test/labels", "classes", "mean"},
    features: {"nfm/features.0/factor", "agop/features.10/factor"},
    learned: {"images", "layers/features.0/matrix", "layers/features.0/saliency"},
    evolution: {"image", "curves/epoch", "layers/features.0/agop", "layers/features.0/correlations/nfm_final_nfm"},
}


@pytest.mark.parametrize("write", READ)
def test_files_keep_their_layout_and_say_what_made_them(tmp_path, write):
    write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert all(isinstance(file[name], h5py.Dataset) for name in LAYOUT[write])
        assert file.attrs["provenance"] == '{"seed": 3}'


# ------------------------------------------------------------------------------------------------- broken
@pytest.mark.parametrize("write", READ)
@pytest.mark.parametrize("harm", ["truncate", "text", "remove", "other"])
def test_broken_files_are_named(tmp_path, write, harm):
    path = tmp_path / "file.h5"
    write(path)
    if harm == "truncate":
        os.truncate(path, path.stat().st_size // 2)
    elif harm == "text":
        path.write_text("x")
    elif harm == "remove":
        path.unlink()
    else:
        (features if write is not features else a_dataset)(path)
    line = (
        "No such file"
        if harm == "remove"
        else r"not a readable \w+\.h5 \(.*\); if it is a result, remove it and run again"
    )
    with pytest.raises(UserError, match=f"file.h5: {line}") as caught:
        READ[write](path)
    assert "\n" not in str(caught.value)


def content_or_error(write, path):
    try:
        return flat(READ[write](path))
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("write", READ)
def test_a_flipped_bit_is_found_unless_it_changes_nothing(tmp_path, write):
    path = tmp_path / "file.h5"
    write(path)
    whole, content, damaged = path.read_bytes(), flat(READ[write](path)), 0
    for place in RNG.integers(0, len(whole), 100):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << RNG.integers(8)
        path.write_bytes(flipped)
        outcome = content_or_error(write, path)
        if outcome != content:
            assert re.fullmatch(
                r".*file.h5: not a readable \w+\.h5 \(.*\); if it is a result, remove it and run again", outcome
            )
            damaged += 1
    assert damaged > 50


# ------------------------------------------------------------------------------------------------- full disks
@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk", "size=1m"):
        yield tmp_path / "disk"


def test_a_full_disk_is_named_and_nothing_left(small_disk):
    with pytest.raises(UserError, match=r"big.h5: no space left on the device; nothing was written"):
        a_dataset(small_disk / "big.h5", n=1000)
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize("write", [*READ, text, weights])
def test_a_file_beyond_the_limit_is_named_and_nothing_left(tmp_path, capfd, write):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))  # bytes; as `ulimit -f`
    try:
        with pytest.raises(UserError, match=r"x: larger than files may be here \(ulimit -f\); nothing was written"):
            write(tmp_path / "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("write", READ)
def test_wherever_the_disk_is_full_hdf5_prints_nothing(small_disk, capfd, write):
    """HDF5 prints what it cannot write, and crashes after some of these errors when the program ends."""
    fill, files = small_disk / "fill", small_disk / "files"
    files.mkdir()
    for free in range(4, 40, 4):  # kB
        fill.write_bytes(bytes(2**20 - 1024 * free))
        with pytest.raises(UserError, match="no space left on the device; nothing was written"):
            write(files / "x.h5")
        assert not list(files.iterdir())
        fill.unlink()
    write(files / "x.h5")
    assert capfd.readouterr().err == ""
