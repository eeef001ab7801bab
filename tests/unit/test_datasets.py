"""Archives and folders -> dataset.h5, and every way in which they can be broken."""

import functools
import hashlib
import http.server
import io
import json
import pickle
import shutil
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
        assert len(archive.sha256) == 64


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
        (no_classes, "flowers: holds no folder; it takes a folder of images for each of two classes"),
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
