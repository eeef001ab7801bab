"""Archives, and every way in which they can be broken."""

import gzip
import hashlib
import io
import os
import pickle
import re
import stat
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest
from scipy.io import savemat

from ansatz.data import archives
from ansatz.data import cifar as cifar_reader
from ansatz.data.archives import Archive, fetch_archives, published_archives, unpack
from ansatz.data.prepare import prepare
from ansatz.errors import UserError
from ansatz.files.dataset import read_dataset
from upstream import UPSTREAM


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def cifar(tmp_path):
    """A tiny CIFAR-10 archive in upstream's layout; returns its folder and its checksum."""
    return made_cifar(tmp_path / "at_hand")


def made_cifar(source, **changes):
    """Make such an archive; `changes` replace what a file of that name holds, and None leaves it out."""
    rng = np.random.default_rng(0)
    source.mkdir()
    with tarfile.open(source / "cifar-10-python.tar.gz", "w:gz") as packed:

        def add(name, content):
            content = changes.get(name, content)
            if content is None:
                return
            data = content if isinstance(content, bytes) else pickle.dumps(content)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))

        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            add(name, {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3]})
        add("batches.meta", {"label_names": list("abcdefghij")})
    return source, hashlib.sha256((source / "cifar-10-python.tar.gz").read_bytes()).hexdigest()


def get(into, data_dir=None, url="", sha256=""):
    fetch_archives("cifar10", into, data_dir=data_dir and str(data_dir), url=url, sha256=sha256)


def test_data_dir_is_looked_into_before_anything_is_downloaded(tmp_path, cifar, monkeypatch):
    monkeypatch.setattr(archives, "download", lambda *_: pytest.fail("downloaded"))
    source, checksum = cifar
    get(tmp_path / "into", data_dir=source, sha256=checksum)
    assert (tmp_path / "into" / "cifar-10-python.tar.gz").read_bytes()
    own = tmp_path / "own" / "cifar10"
    own.parent.mkdir()
    source.rename(own)
    get(tmp_path / "other", data_dir=own.parent, sha256=checksum)
    assert (tmp_path / "other" / "cifar-10-python.tar.gz").read_bytes()


def test_a_wrong_checksum_is_refused_before_a_pickle_is_opened(tmp_path, cifar, monkeypatch):
    monkeypatch.setattr(cifar_reader, "read_pickle", lambda *_: pytest.fail("unpickled"))
    source, checksum = cifar
    with pytest.raises(UserError) as caught:
        get(tmp_path / "into", data_dir=source)
    assert checksum in one_line(caught)
    assert "cifar-10-python.tar.gz" in str(caught.value)
    with pytest.raises(UserError, match="its sha256 is"):
        prepare("cifar10", source, tmp_path / "dataset.h5")
    assert not (tmp_path / "dataset.h5").exists()


def test_a_truncated_archive_is_named(tmp_path, cifar):
    source, _ = cifar
    archive = source / "cifar-10-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1000])
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(UserError) as caught:
        prepare("cifar10", source, tmp_path / "dataset.h5", sha256=checksum)
    assert "cifar-10-python.tar.gz: " in one_line(caught)
    assert "not a complete zip or tar archive" in str(caught.value)
    assert not list(tmp_path.glob("*.h5*"))


def test_an_archive_of_other_content_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "w") as packed:
        packed.writestr("something/else.txt", "x")
    checksum = hashlib.sha256((tmp_path / "tiny-imagenet-200.zip").read_bytes()).hexdigest()
    with pytest.raises(UserError, match=r"tiny-imagenet-200.zip: cannot be read as tiny_imagenet"):
        prepare("tiny_imagenet", tmp_path, tmp_path / "out" / "dataset.h5", sha256=checksum)


def prepared_cifar(tmp_path, **changes):
    """Prepare such an archive, and read what was prepared."""
    source, checksum = made_cifar(tmp_path / "at_hand", **changes)
    prepare("cifar10", source, tmp_path / "dataset.h5", sha256=checksum)
    return read_dataset(tmp_path / "dataset.h5")


def refused_cifar(tmp_path, **changes):
    """Return the line that says what is wrong with such an archive."""
    with pytest.raises(UserError) as caught:
        prepared_cifar(tmp_path, **changes)
    assert not (tmp_path / "dataset.h5").exists()
    _, line = one_line(caught).split(f"{tmp_path}/at_hand/cifar-10-python.tar.gz: ")
    assert tempfile.gettempdir() not in line  # where it was unpacked, and is no more
    return line


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_runs_no_code(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps({"data": Evil(), "labels": [0]}, protocol)
    line = refused_cifar(tmp_path, data_batch_3=evil)
    assert (
        "cifar-10-batches-py/data_batch_3: cannot be read (UnpicklingError: it holds posix.mkdir, not only arrays"
        in line
    )
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("protocol", [3, 5])
def test_a_pickle_of_arrays_is_read(tmp_path, protocol):
    batch = pickle.dumps({"data": np.full((2, 3072), 9, np.uint8), "labels": [3, 4]}, protocol)
    test = prepared_cifar(tmp_path, test_batch=batch).parts["test"]
    assert test.labels.tolist() == [3, 4]
    assert (test.images == 9).all()
    assert test.images.shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data_batch_2": None}, "cifar-10-batches-py/data_batch_2: is missing"),
        ({"test_batch": b"\x80\x04"}, "cifar-10-batches-py/test_batch: cannot be read ("),
        ({"batches.meta": ["a"]}, "cifar-10-batches-py/batches.meta: holds list instead of a dictionary"),
        ({"test_batch": {"labels": [1]}}, "cannot be read as cifar10 (KeyError: 'data')"),
        ({"test_batch": {"data": np.zeros((1, 3072), np.uint8), "labels": [10]}}, "test: the label of image 0 is 10, "),
    ],
)
def test_archives_with_other_content_are_named_in_one_line(tmp_path, changes, expected):
    assert expected in refused_cifar(tmp_path, **changes)


@pytest.mark.parametrize(
    ("name", "file", "content", "expected"),
    [
        ("fashion_mnist", "train-labels-idx1-ubyte.gz", b"no gzip", "cannot be read (BadGzipFile: "),
        ("fashion_mnist", "t10k-images-idx3-ubyte.gz", gzip.compress(bytes(99), mtime=0)[:-9], "cannot be read ("),
        (
            "fashion_mnist",
            "t10k-images-idx3-ubyte.gz",
            gzip.compress(b"\0\0\x08\x03", mtime=0),
            "cannot be read (error: ",
        ),
        ("svhn", "test_32x32.mat", b"no matrices", "cannot be read ("),
        ("pcam", "camelyonpatch_level_2_split_valid_y.h5.gz", b"no gzip", "not a complete gzip file ("),
        ("pcam", "camelyonpatch_level_2_split_test_x.h5.gz", gzip.compress(b"no HDF5", mtime=0), "cannot be read ("),
        ("imagenet32", "Imagenet32_val_npz.zip", b"no zip", "not a complete zip or tar archive ("),
    ],
)
def test_the_broken_one_of_several_archives_is_named(tmp_path, name, file, content, expected):
    source = tmp_path / "archives"
    source.mkdir()
    if name == "svhn":
        savemat(source / "train_32x32.mat", {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[1], [10]]})
    else:
        UPSTREAM[name](source)
    (source / file).write_bytes(content)
    paths = {archive.file: source / archive.file for archive in published_archives(name)}
    checksums = {file: hashlib.sha256(path.read_bytes()).hexdigest() for file, path in paths.items()}
    with pytest.raises(UserError) as caught:
        prepare(name, source, tmp_path / "dataset.h5", sha256=checksums)
    assert one_line(caught).startswith(f"{source / file}: {expected}")


def test_what_torchvision_misses_is_not_to_be_downloaded_by_an_argument(tmp_path):
    with tarfile.open(tmp_path / "fgvc-aircraft-2013b.tar.gz", "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("something/else.txt"))
    checksum = hashlib.sha256((tmp_path / "fgvc-aircraft-2013b.tar.gz").read_bytes()).hexdigest()
    with pytest.raises(UserError) as caught:
        prepare("fgvc_aircraft", tmp_path, tmp_path / "out" / "dataset.h5", sha256=checksum)
    path = tmp_path / "fgvc-aircraft-2013b.tar.gz"
    assert one_line(caught) == f"{path}: cannot be read as fgvc_aircraft (files are missing)"


def test_overrides_name_files_of_the_dataset(tmp_path):
    with pytest.raises(
        UserError, match=r"datasets.svhn.sha256: give one for each file: train_32x32.mat, test_32x32.mat"
    ):
        fetch_archives("svhn", tmp_path, data_dir=None, url="", sha256="abc")
    with pytest.raises(UserError, match=r"datasets.svhn.sha256: 'train.mat' is not among its files: train_32x32.mat"):
        fetch_archives("svhn", tmp_path, data_dir=None, url="", sha256={"train.mat": "abc"})


def test_unpacking_does_not_leave_the_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../outside.txt", "x")
    with tarfile.open(tmp_path / "evil.tar", "w") as packed:
        packed.addfile(tarfile.TarInfo("../outside.txt"))
    for archive in ("evil.zip", "evil.tar"):
        with pytest.raises(UserError, match="refused"):
            unpack(tmp_path / archive, tmp_path / "into")
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(tmp_path, kind):
    """Also those that lead nowhere outside by themselves: several of them together may."""
    with tarfile.open(tmp_path / "links.tar", "w") as packed:
        packed.addfile(tarfile.TarInfo("a.txt"))
        link = tarfile.TarInfo("b.txt")
        link.type, link.linkname = kind, "a.txt"
        packed.addfile(link)
    with pytest.raises(UserError, match=r"links.tar: member 'b.txt' is a link; refused"):
        unpack(tmp_path / "links.tar", tmp_path / "into")


def test_links_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as packed:
        link = zipfile.ZipInfo("b.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match=r"links.zip: member 'b.txt' is a link; refused"):
        unpack(tmp_path / "links.zip", tmp_path / "into")


@pytest.mark.parametrize("checksum", ["", "4", "f" * 65, "no checksum", 5])
def test_a_checksum_that_accepts_anything_is_refused(checksum):
    with pytest.raises(UserError, match=r"^a\.zip: .* is no checksum; give its SHA-256, or else its MD5$"):
        Archive("a.zip", "http://x", checksum)


def test_an_address_with_a_password_is_refused_and_not_printed():
    for address in ("https://ada:secret@example.org/a.bin", "https://token@example.org/a.bin"):
        with pytest.raises(UserError, match=r"a.bin: its address holds a name or password.*netrc") as caught:
            Archive("a.bin", address, "0" * 64)
        assert not {"secret", "token"} & set(re.findall(r"\w+", str(caught.value)))
    Archive("a.bin", "https://example.org/@ada/a.bin", "0" * 64)
