"""Archives and folders -> dataset.h5, and every way in which they can be broken."""

import functools
import gzip
import hashlib
import http.server
import importlib
import inspect
import io
import json
import pickle
import shutil
import struct
import tarfile
import threading
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ansatz import archives as archives_module
from ansatz import datasets
from ansatz.archives import Archive, fetch, unpack
from ansatz.datasets import DATASETS, channel_statistics, fetch_archives, prepare
from ansatz.errors import UserError
from ansatz.networks import build
from ansatz.store import read_dataset
from real_data import SUBSETS


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- the registry
def test_digits(tmp_path):
    prepare("digits", tmp_path, tmp_path / "dataset.h5")
    data = read_dataset(tmp_path / "dataset.h5")
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 1438, "validation": 359}
    assert data.parts["train"].images.shape[1:] == (1, 8, 8)
    assert data.parts["train"].images.max() == 255
    assert data.classes == tuple("0123456789")
    with h5py.File(tmp_path / "dataset.h5") as file:
        assert file["images"].dtype == np.uint8
        assert file["labels"].dtype == np.int64
        indices = np.concatenate([file["split/train"][...], file["split/validation"][...]])
        assert json.loads(file.attrs["provenance"])["parameters"]["dataset"] == "digits"
    assert sorted(indices) == list(range(1797))
    train = data.parts["train"].images / 255
    assert data.mean == pytest.approx([train.mean()])
    assert data.std == pytest.approx([train.std()])


SIZES = {
    "mnist": ((1, 28, 28), 10, 48_000, 12_000, 10_000),
    "cifar10": ((3, 32, 32), 10, 8_000, 2_000, 2_000),
    "cifar100": ((3, 32, 32), 100, 3_600, 900, 1_000),
    "svhn": ((3, 32, 32), 10, 706, 177, 200),
    "tiny_imagenet": ((3, 64, 64), 200, 8_000, 2_000, 2_000),
}


@pytest.mark.parametrize("name", SIZES)
def test_real_archives(archives, tmp_path, name):
    shape, classes, *sizes = SIZES[name]
    fetch_archives(name, tmp_path / "archives", data_dir=str(archives), url="", sha256=SUBSETS[name])
    prepare(name, tmp_path / "archives", tmp_path / "dataset.h5", sha256=SUBSETS[name])
    data = read_dataset(tmp_path / "dataset.h5")
    assert data.parts["train"].images.shape[1:] == shape
    assert len(data.classes) == classes
    assert [len(data.parts[part]) for part in ("train", "validation", "test")] == sizes
    labels = np.concatenate([data.parts[part].labels for part in ("train", "validation")])
    assert sorted(set(labels)) == list(range(classes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "dataset.h5"]


def test_real_pixels_are_those_of_the_files(archives, tmp_path):
    """Read an image of CIFAR-10 from its pickle, and one of Tiny ImageNet with Pillow, without our code."""
    fetch_archives("cifar10", tmp_path / "c", data_dir=str(archives), url="", sha256=SUBSETS["cifar10"])
    prepare("cifar10", tmp_path / "c", tmp_path / "cifar.h5", sha256=SUBSETS["cifar10"])
    with tarfile.open(archives / "cifar-10-python.tar.gz") as packed:
        batch = pickle.load(packed.extractfile("cifar-10-batches-py/data_batch_1"), encoding="bytes")
    with h5py.File(tmp_path / "cifar.h5") as file:
        assert (file["images"][:100].reshape(100, -1) == batch[b"data"][:100]).all()
        assert file["labels"][:100].tolist() == batch[b"labels"][:100]
        assert file["classes"].asstr()[0] == "airplane"
    fetch_archives("tiny_imagenet", tmp_path / "t", data_dir=str(archives), url="", sha256=SUBSETS["tiny_imagenet"])
    prepare("tiny_imagenet", tmp_path / "t", tmp_path / "tiny.h5", sha256=SUBSETS["tiny_imagenet"], limit=50)
    with zipfile.ZipFile(archives / "tiny-imagenet-200.zip") as packed, h5py.File(tmp_path / "tiny.h5") as file:
        root = "tiny-imagenet-200"
        wnids = sorted(packed.read(f"{root}/wnids.txt").decode().split())
        lines = packed.read(f"{root}/val/val_annotations.txt").decode().splitlines()
        of_file = {line.split("\t")[0]: line.split("\t")[1] for line in lines}
        pictures = {
            np.asarray(Image.open(packed.open(f"{root}/val/images/{name}")).convert("RGB")).tobytes(): wnids.index(wnid)
            for name, wnid in of_file.items()
        }
        for image, label in zip(file["test/images"], file["test/labels"], strict=True):
            assert pictures[np.ascontiguousarray(image.transpose(1, 2, 0)).tobytes()] == label


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


# ------------------------------------------------------------------------------------------------- upstream's layouts
UPSTREAM = {}
RNG = np.random.default_rng(0)


def upstream(make):
    """Register what fills a folder with a small copy of a dataset's archives; it returns what is to be read from them.

    That is the classes, and for each part images and labels.
    """
    UPSTREAM[make.__name__] = make
    return make


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def write_idx(path, array):
    path.parent.mkdir(exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, {"uint8": 8, "int32": 12}[array.dtype.name], array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(array.dtype.newbyteorder(">")).tobytes()))


def drawn(path, file_format="PNG"):
    """Write a picture of any size, without loss whatever the ending says, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = noise(*RNG.integers(30, 50, 2), 3)
    Image.fromarray(pixels).save(path, file_format)
    return pixels


def squares(pictures, size):
    return np.stack([np.asarray(Image.fromarray(p).resize((size, size))).transpose(2, 0, 1) for p in pictures])


@upstream
def fashion_mnist(folder):
    parts = {}
    for part, prefix in {"train": "train", "test": "t10k"}.items():
        images, labels = noise(5, 28, 28), np.array([9, 0, 3, 1, 1], np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
        parts[part] = images[:, None], labels
    kinds = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    return kinds, parts


@upstream
def emnist(folder):
    parts = {}
    for part in ("train", "test"):
        upright, labels = noise(5, 28, 28), np.array([0, 46, 10, 35, 36], np.uint8)
        write_idx(folder / f"gzip/emnist-balanced-{part}-images-idx3-ubyte.gz", upright.transpose(0, 2, 1))
        write_idx(folder / f"gzip/emnist-balanced-{part}-labels-idx1-ubyte.gz", labels)
        parts[part] = upright[:, None], labels
    (folder / "gzip/emnist-letters-train-images-idx3-ubyte.gz").write_text("another split: not to be read")
    shutil.make_archive(str(folder / "gzip"), "zip", folder, "gzip")
    return list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"), parts


@upstream
def qmnist(folder):
    parts = {}
    for part in ("train", "test"):
        images, labels = noise(5, 28, 28), RNG.integers(0, 10, (5, 8), np.int32)
        write_idx(folder / f"qmnist-{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"qmnist-{part}-labels-idx2-int.gz", labels)
        parts[part] = images[:, None], labels[:, 0]
    return list("0123456789"), parts


@upstream
def stl10(folder):
    kinds = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    root = folder / "stl10_binary"
    root.mkdir()
    (root / "class_names.txt").write_text("\n".join(kinds) + "\n")
    parts = {}
    for part in ("train", "test"):
        parts[part] = images, labels = noise(3, 3, 96, 96), np.array([9, 0, 4], np.uint8)
        images.transpose(0, 1, 3, 2).tofile(root / f"{part}_X.bin")  # column by column
        (labels + 1).tofile(root / f"{part}_y.bin")
    shutil.make_archive(str(root), "gztar", folder, "stl10_binary")
    return kinds, parts


@upstream
def pcam(folder):
    parts = {}
    for part, name in {"train": "train", "validation": "valid", "test": "test"}.items():
        images, labels = noise(4, 96, 96, 3), np.array([1, 0, 0, 1], np.uint8)
        for axis, array in {"x": images, "y": labels[:, None, None, None]}.items():
            packed = io.BytesIO()
            with h5py.File(packed, "w") as file:
                file[axis] = array
            archive = folder / f"camelyonpatch_level_2_split_{name}_{axis}.h5.gz"
            archive.write_bytes(gzip.compress(packed.getvalue()))
        parts[part] = images.transpose(0, 3, 1, 2), labels
    return ["normal", "tumour"], parts


@upstream
def gtsrb(folder):
    train, test, tree = [*range(43), 42], [42, 0], folder / "tree"
    kept = [drawn(tree / f"a/GTSRB/Training/{sign:05}/00000_{i:05}.ppm", "PPM") for i, sign in enumerate(train)]
    shown = [drawn(tree / f"b/GTSRB/Final_Test/Images/{i:05}.ppm", "PPM") for i in range(len(test))]
    rows = [f"{i:05}.ppm;50;50;5;5;45;45;{sign}" for i, sign in enumerate(test)]
    (tree / "c").mkdir()
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    (tree / "c/GT-final_test.csv").write_text("\n".join([header, *rows]) + "\n")
    for part, name in {"a": "GTSRB-Training_fixed", "b": "GTSRB_Final_Test_Images", "c": "GTSRB_Final_Test_GT"}.items():
        shutil.make_archive(str(folder / name), "zip", tree / part)
    return [str(sign) for sign in range(43)], {"train": (squares(kept, 32), train), "test": (squares(shown, 32), test)}


@upstream
def dtd(folder):
    parts, root = {}, folder / "dtd"
    (root / "labels").mkdir(parents=True)
    for part, name in {"train": "train", "validation": "val", "test": "test"}.items():
        files = [f"{kind}/{kind}_{name}.jpg" for kind in ("zigzagged", "banded")]
        (root / f"labels/{name}1.txt").write_text("".join(f"{file}\n" for file in files))
        parts[part] = squares([drawn(root / "images" / file) for file in files], 64), [1, 0]
    shutil.make_archive(str(folder / "dtd-r1.0.1"), "gztar", folder, "dtd")
    return ["banded", "zigzagged"], parts


@upstream
def fgvc_aircraft(folder):
    parts, root = {}, folder / "fgvc-aircraft-2013b/data"
    variants = ["707-320", "Cessna 172"]
    root.mkdir(parents=True)
    (root / "variants.txt").write_text("".join(f"{variant}\n" for variant in variants))
    for part, name in {"train": "train", "validation": "val", "test": "test"}.items():
        pictures = [drawn(root / f"images/{name}{label}.jpg") for label in (1, 0)]
        lines = [f"{name}{label} {variants[label]}\n" for label in (1, 0)]
        (root / f"images_variant_{name}.txt").write_text("".join(lines))
        parts[part] = squares([picture[:-20] for picture in pictures], 64), [1, 0]
    shutil.make_archive(str(folder / "fgvc-aircraft-2013b"), "gztar", folder, "fgvc-aircraft-2013b")
    return variants, parts


@upstream
def imagenet32(folder):
    parts = {"train": (noise(5, 3, 32, 32), [0, 999, 1, 2, 2]), "test": (noise(2, 3, 32, 32), [7, 0])}
    for part, batches in {"train": 2, "test": 1}.items():
        images, labels = parts[part]
        name = part.replace("test", "val")
        (folder / name).mkdir()
        for batch, rows in enumerate(np.array_split(np.arange(len(images)), batches), 1):
            stored = {"data": images[rows].reshape(len(rows), -1), "labels": np.array(labels)[rows] + 1}
            np.savez(folder / name / f"{name}_data_batch_{batch}", **stored, mean=np.zeros(3072))
        shutil.make_archive(str(folder / f"Imagenet32_{name}_npz"), "zip", folder / name)
    return [str(number) for number in range(1, 1001)], parts


@upstream
def caltech101(folder):
    kinds = ["Faces", "accordion", "BACKGROUND_Google"]
    pictures = [drawn(folder / f"101_ObjectCategories/{kind}/image_{i:04}.jpg") for kind in kinds for i in (1, 2)]
    inside = folder / "tree/caltech-101"
    shutil.make_archive(str(inside / "101_ObjectCategories"), "gztar", folder, "101_ObjectCategories")
    shutil.make_archive(str(folder / "caltech-101"), "zip", inside.parent)
    return kinds[:2], {"train": (squares(pictures[:4], 64), [0, 0, 1, 1])}


@pytest.fixture
def archives_of(tmp_path):
    """Make a dataset's archives in a folder of their own; return it, what is to be read, and their checksums."""

    def make(name):
        (tmp_path / "made").mkdir()
        expected = UPSTREAM[name](tmp_path / "made")
        folder = tmp_path / "archives"
        folder.mkdir()
        for archive in DATASETS[name].archives:
            shutil.copy(tmp_path / "made" / archive.file, folder)
        return folder, expected, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    return make


@pytest.mark.parametrize("name", UPSTREAM)
def test_archives_in_upstreams_layout(archives_of, name):
    folder, (classes, parts), _ = archives_of(name)
    entry = DATASETS[name]
    raw = entry.read(folder, *([entry.size] if entry.size else []))
    assert raw.classes == classes
    for part in ("train", "validation", "test"):
        found = getattr(raw, part)
        if part not in parts:
            assert found is None
            continue
        images, labels = parts[part]
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(found.images, images)
        np.testing.assert_array_equal(found.labels, labels)


def test_every_dataset_is_read_from_archives_here():
    assert {*UPSTREAM, *SIZES, "digits"} == DATASETS.keys()


def test_a_datasets_own_validation_part_is_kept_and_limited(archives_of, tmp_path):
    folder, (_, parts), checksums = archives_of("pcam")
    prepare("pcam", folder, tmp_path / "all.h5", sha256=checksums)
    data = read_dataset(tmp_path / "all.h5")
    for part, (images, labels) in parts.items():
        np.testing.assert_array_equal(data.parts[part].images, images)
        np.testing.assert_array_equal(data.parts[part].labels, labels)
    assert data.mean == pytest.approx((parts["train"][0] / 255).mean((0, 2, 3)))
    prepare("pcam", folder, tmp_path / "some.h5", sha256=checksums, limit=3)
    assert [len(part) for part in read_dataset(tmp_path / "some.h5").parts.values()] == [3, 3, 3]


@pytest.mark.parametrize(("size", "side"), [(None, 64), (48, 48)])
def test_images_that_vary_in_size_are_resized(archives_of, tmp_path, size, side):
    folder, _, checksums = archives_of("dtd")
    prepare("dtd", folder, tmp_path / "dataset.h5", size=size, sha256=checksums)
    assert read_dataset(tmp_path / "dataset.h5").parts["train"].images.shape == (2, 3, side, side)


def test_an_md5_is_checked_until_a_sha256_is_given(archives_of, tmp_path):
    folder, _, checksums = archives_of("emnist")
    with pytest.raises(UserError, match=r"gzip.zip: its md5 is \w{32}, not 58c8d27c78d21e728a6bc7b3cc06412e") as caught:
        prepare("emnist", folder, tmp_path / "dataset.h5")
    one_line(caught)
    prepare("emnist", folder, tmp_path / "dataset.h5", sha256=checksums["gzip.zip"])
    assert len(read_dataset(tmp_path / "dataset.h5").parts["test"]) == 5


@pytest.mark.parametrize("name", [name for name in UPSTREAM if name != "imagenet32"])  # which torchvision has not
def test_addresses_and_checksums_are_torchvisions(name):
    module = {"fashion_mnist": "mnist", "emnist": "mnist", "qmnist": "mnist", "caltech101": "caltech"}.get(name, name)
    source = inspect.getsource(importlib.import_module(f"torchvision.datasets.{module}"))
    for archive in DATASETS[name].archives:
        assert archive.file.removesuffix(".gz") in source
        assert archive.url.rpartition("/")[0] in source or name == "pcam"  # Zenodo's, in the place of Google Drive's
        assert archive.sha256 in source or name == "fgvc_aircraft"  # which torchvision does not check


# ------------------------------------------------------------------------------------------------- archives
@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A tiny CIFAR-10 archive in upstream's layout; returns its folder and its checksum."""
    rng = np.random.default_rng(0)
    source = tmp_path / "at_hand"
    source.mkdir()
    with tarfile.open(source / "cifar-10-python.tar.gz", "w:gz") as packed:

        def add(name, content):
            data = pickle.dumps(content)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))

        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            add(name, {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3]})
        add("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    return source, hashlib.sha256((source / "cifar-10-python.tar.gz").read_bytes()).hexdigest()


def get(into, data_dir=None, url="", sha256=""):
    fetch_archives("cifar10", into, data_dir=data_dir and str(data_dir), url=url, sha256=sha256)


def test_data_dir_is_looked_into_before_anything_is_downloaded(tmp_path, cifar, monkeypatch):
    monkeypatch.setattr(archives_module, "_download", lambda *_: pytest.fail("downloaded"))
    source, checksum = cifar
    get(tmp_path / "into", data_dir=source, sha256=checksum)
    assert (tmp_path / "into" / "cifar-10-python.tar.gz").read_bytes()
    own = tmp_path / "own" / "cifar10"
    own.parent.mkdir()
    source.rename(own)
    get(tmp_path / "other", data_dir=own.parent, sha256=checksum)
    assert (tmp_path / "other" / "cifar-10-python.tar.gz").read_bytes()


def test_a_wrong_checksum_is_refused_before_a_pickle_is_opened(tmp_path, cifar, monkeypatch):
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
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
    assert "not a whole zip or tar archive" in str(caught.value)
    assert not list(tmp_path.glob("*.h5*"))


def test_an_archive_of_other_content_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "w") as packed:
        packed.writestr("something/else.txt", "x")
    checksum = hashlib.sha256((tmp_path / "tiny-imagenet-200.zip").read_bytes()).hexdigest()
    with pytest.raises(UserError, match=r"tiny-imagenet-200.zip: cannot be read as tiny_imagenet"):
        prepare("tiny_imagenet", tmp_path, tmp_path / "out" / "dataset.h5", sha256=checksum)


def test_overrides_name_files_of_the_dataset(tmp_path):
    with pytest.raises(UserError, match=r"svhn: sha256: give one a file: train_32x32.mat, test_32x32.mat"):
        fetch_archives("svhn", tmp_path, data_dir=None, url="", sha256="abc")
    with pytest.raises(UserError, match=r"svhn: sha256: 'train.mat' is no file of it"):
        fetch_archives("svhn", tmp_path, data_dir=None, url="", sha256={"train.mat": "abc"})


@pytest.mark.parametrize("name", [name for name, entry in DATASETS.items() if entry.archives])
def test_archives_have_addresses_and_checksums(name):
    for archive in DATASETS[name].archives:
        assert archive.url.endswith(archive.file)
        assert len(archive.sha256) in (32, 64)


def test_unpacking_does_not_leave_the_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../outside.txt", "x")
    with tarfile.open(tmp_path / "evil.tar", "w") as packed:
        packed.addfile(tarfile.TarInfo("../outside.txt"))
    for archive in ("evil.zip", "evil.tar"):
        with pytest.raises(UserError, match="refused"):
            unpack(tmp_path / archive, tmp_path / "into")
    assert not (tmp_path / "outside.txt").exists()


# ------------------------------------------------------------------------------------------------- downloads
@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if "broken" not in self.path:
                return super().do_GET()
            self.send_response(200)  # a connection that drops: half of what was announced
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 500)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_download(tmp_path, server, algorithm):
    folder, address = server
    (folder / "a.bin").write_bytes(b"content")
    checksum = hashlib.new(algorithm, b"content").hexdigest()
    fetch(Archive("a.bin", f"{address}/a.bin", checksum), tmp_path / "into" / "a.bin", [])
    assert (tmp_path / "into" / "a.bin").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("path", "digits", "expected"),
    [
        ("a.bin", 4, "its sha256 is 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, not 0000: "),
        ("a.bin", 32, "its md5 is 9dd4e461268c8034f5c8564e155c67a6, not 00000000000000000000000000000000: "),
        ("absent.bin", 4, r"cannot be downloaded \(File not found\); put the file into the config's data_dir"),
        ("broken.bin", 4, ""),
    ],
)
def test_failed_downloads_leave_nothing(tmp_path, server, path, digits, expected):
    folder, address = server
    (folder / "a.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=f"{path}: {expected}") as caught:
        fetch(Archive(path, f"{address}/{path}", "0" * digits), tmp_path / "into" / path, [])
    one_line(caught)
    assert not list((tmp_path / "into").iterdir())


def test_no_server_is_said_so(tmp_path):
    with pytest.raises(UserError, match=r"127.0.0.1:1/x: cannot be downloaded"):
        fetch(Archive("x", "http://127.0.0.1:1/x", ""), tmp_path / "x", [])


# ------------------------------------------------------------------------------------------------- users' images
def picture(path, size=(6, 4), colour=(255, 0, 0), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


@pytest.fixture
def flowers(tmp_path):
    root = tmp_path / "flowers"
    for kind, colour in {"rose": (200, 0, 0), "tulip": (0, 0, 200)}.items():
        for i in range(5):
            picture(root / kind / f"{i}.png", colour=colour)
    return root


def prepared(source, tmp_path, **options):
    prepare("mine", source, tmp_path / "dataset.h5", own=True, **options)
    return read_dataset(tmp_path / "dataset.h5")


def test_a_folder_of_classes(flowers, tmp_path):
    data = prepared(flowers, tmp_path)
    assert data.classes == ("rose", "tulip")
    assert data.parts["train"].images.shape == (8, 3, 4, 6)
    assert len(data.parts["validation"]) == 2
    roses = data.parts["train"].images[data.parts["train"].labels == 0]
    assert (roses[:, 0] == 200).all()


@pytest.mark.parametrize("held_out", [("val", "test"), ("val",), ("test",)])
def test_a_tree_of_parts(flowers, tmp_path, held_out):
    tree = tmp_path / "tree"
    shutil.copytree(flowers, tree / "train")
    for part in held_out:
        shutil.copytree(flowers, tree / part)
    data = prepared(tree, tmp_path)
    expected = {"train": 10 if "val" in held_out else 8, "validation": 10 if "val" in held_out else 2}
    assert {name: len(part) for name, part in data.parts.items()} == expected | (
        {"test": 10} if "test" in held_out else {}
    )


@pytest.mark.parametrize("inside", ["", "flowers", "a/b"])
def test_a_zip(flowers, tmp_path, inside):
    with zipfile.ZipFile(tmp_path / "flowers.zip", "w") as packed:
        packed.writestr("__MACOSX/x", "")
        for path in flowers.rglob("*.png"):
            packed.write(path, Path(inside, path.relative_to(flowers)))
    assert len(prepared(tmp_path / "flowers.zip", tmp_path).parts["train"]) == 8


def test_sizes_and_modes(flowers, tmp_path):
    picture(flowers / "rose" / "large.png", size=(50, 20), mode="L")
    with pytest.raises(UserError, match=r"large.png: 50x20 pixels, but 0.png has 6x4; give the dataset a size"):
        prepared(flowers, tmp_path)
    assert prepared(flowers, tmp_path, size=5).parts["train"].images.shape[1:] == (3, 5, 5)


def break_image(root):
    (root / "rose" / "2.png").write_bytes((root / "rose" / "2.png").read_bytes()[:40])


def break_text(root):
    (root / "rose" / "2.png").write_text("no image")


def empty_class(root):
    (root / "violet").mkdir()


def no_classes(root):
    shutil.rmtree(root)
    root.mkdir()


def no_folder(root):
    shutil.rmtree(root)


def too_few(root):
    for kind in ("rose", "tulip"):
        for i in range(1, 5):
            (root / kind / f"{i}.png").unlink()


def one_class(root):
    shutil.rmtree(root / "rose")


def deep(root):
    Image.fromarray(np.full((4, 6), 30000, np.uint16)).save(root / "rose" / "2.png")


def bomb(root):
    Image.new("1", (20000, 20000)).save(root / "rose" / "2.png")


def capitals(root):
    shutil.copytree(root, root.parent / "copy")
    no_classes(root)
    shutil.copytree(root.parent / "copy", root / "Train")


def validation(root):
    capitals(root)
    (root / "Train").rename(root / "train")
    (root / "validation").mkdir()


def other_classes(root):
    extra_class(root)
    (root / "train").rename(root / "rest")
    (root / "test").rename(root / "train")
    (root / "rest").rename(root / "test")


def extra_class(root):
    capitals(root)
    (root / "Train").rename(root / "train")
    shutil.copytree(root / "train", root / "test")
    shutil.copytree(root / "test" / "rose", root / "test" / "violet")


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (break_image, "rose/2.png: not an image that can be decoded"),
        (break_text, "rose/2.png: not an image that can be decoded"),
        (empty_class, "flowers: Found no valid file for the classes violet"),
        (no_classes, "flowers: holds neither folders nor images; it takes a folder of images for each of two classes"),
        (one_class, "flowers: holds one folder, tulip; it takes"),
        (deep, "rose/2.png: has more than 8 bits a channel"),
        (bomb, "rose/2.png: not an image that can be decoded (Image size"),
        (capitals, "flowers: found Train; parts are called train, and val or test or both"),
        (validation, "flowers: found train, validation; parts are called train"),
        (extra_class, "test: has violet, of which train has no images"),
        (no_folder, "flowers: not a folder of images, nor a .zip of one"),
        (too_few, "mine: 2 images cannot be split 80/20"),
        (other_classes, "test: has no images of violet, which train has"),
    ],
)
def test_bad_folders_are_named_in_one_line(flowers, tmp_path, harm, expected):
    harm(flowers)
    with pytest.raises(UserError) as caught:
        prepared(flowers, tmp_path)
    assert expected in one_line(caught)
    assert not (tmp_path / "dataset.h5").exists()


def test_images_without_classes_are_of_one(flowers, tmp_path):
    (flowers / "rose" / ".hidden.png").write_text("no image")
    data = prepared(flowers / "rose", tmp_path)
    assert data.classes == ("unlabelled",)
    assert {part: len(images) for part, images in data.parts.items()} == {"train": 4, "validation": 1}
    with pytest.raises(UserError, match="one class alone to tell apart") as caught:
        build("vgg11", len(data.classes), seed=0)
    one_line(caught)


def test_what_systems_leave_in_folders_is_passed_over(flowers, tmp_path, caplog):
    (flowers / ".ipynb_checkpoints").mkdir()
    (flowers / "__MACOSX").mkdir()
    (flowers / "rose" / "._0.png").write_text("resource fork")
    (flowers / "rose" / "notes.txt").write_text("mine")
    with caplog.at_level("INFO"):
        assert prepared(flowers, tmp_path).classes == ("rose", "tulip")
    assert "left out 1 files without an image's ending, such as" in caplog.text


def test_a_bad_zip_is_named(flowers, tmp_path):
    (tmp_path / "flowers.zip").write_bytes(b"PK\3\4 and nothing more")
    with pytest.raises(UserError, match=r"flowers.zip: not a whole zip or tar archive"):
        prepared(tmp_path / "flowers.zip", tmp_path)
    break_image(flowers)
    shutil.make_archive(str(tmp_path / "flowers"), "zip", flowers)
    with pytest.raises(UserError, match=r"flowers.zip/rose/2.png: not an image"):
        prepared(tmp_path / "flowers.zip", tmp_path)


def test_registering_a_dataset_is_one_function(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "DATASETS", dict(DATASETS))

    @datasets.dataset()
    def noise(folder):
        rng = np.random.default_rng(0)
        return datasets.Raw(["a", "b"], datasets.Part(rng.integers(0, 256, (10, 1, 4, 4), np.uint8), np.arange(10) % 2))

    prepare("noise", tmp_path, tmp_path / "dataset.h5")
    assert len(read_dataset(tmp_path / "dataset.h5").parts["train"]) == 8
