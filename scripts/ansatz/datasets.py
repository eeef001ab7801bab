"""Name -> images, labels, class names.

A dataset is one function with a decorator: it gets the folder that holds its archives and returns what it read. The
readers are torchvision's, where it has them; their checks are made here, before anything is unpacked.
"""

import gzip
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ansatz import store
from ansatz.archives import Archive, check, fetch, unpack
from ansatz.errors import UserError
from ansatz.provenance import provenance
from ansatz.seeds import stream
from ansatz.store import Part

if TYPE_CHECKING:  # imported where it is used
    import PIL.Image

LOG = logging.getLogger(__name__)
SPLIT_SEED = 0
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Raw:
    """What a reader returns: class names, the images for training, and those for validation and test where they exist.

    Without a validation part of its own, a dataset's training images are split 80/20.
    """

    classes: list[str]
    train: Part
    validation: Part | None = None
    test: Part | None = None


@dataclass(frozen=True)
class Entry:
    """A registered dataset: the function that reads it from a folder, and the archives that are to lie there.

    Where its images vary in size, `size` is the side of the squares that they are resized to, and the function's
    second argument; the configuration may give another.
    """

    read: Callable[..., Raw]
    archives: tuple[Archive, ...]
    size: int | None = None


DATASETS: dict[str, Entry] = {}
Reader = TypeVar("Reader", bound=Callable[..., Raw])


def dataset(
    address: str = "", files: Mapping[str, str] | None = None, *, size: int | None = None
) -> Callable[[Reader], Reader]:
    """Register a reader under its function's name.

    Parameters
    ----------
    address : str
        What the archives' addresses begin with.
    files : mapping, optional
        Name of an archive -> its SHA-256, or its MD5 where no SHA-256 is published.
    size : int, optional
        As in `Entry`.
    """
    archives = tuple(Archive(file, f"{address}/{file}", checksum) for file, checksum in (files or {}).items())

    def register(read: Reader) -> Reader:
        DATASETS[read.__name__] = Entry(read, archives, size)
        return read

    return register


# ------------------------------------------------------------------------------------------------- the registry
DIGITS = [str(digit) for digit in range(10)]


@dataset()
def digits(folder: Path) -> Raw:
    """Scikit-learn's 1,797 handwritten digits, 8x8, 17 grey levels; they come inside the package."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]  # (1797, 1, 8, 8)
    return Raw(DIGITS, Part(images, bunch.target.astype(np.int64)))


def _idx(name: str, folder: Path, archives: str = "*.gz", **options: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images (N, 28, 28) and labels of both halves of MNIST, or of what others made in its format."""
    from torchvision import datasets
    from torchvision.datasets.utils import extract_archive

    raw = folder / name / "raw"  # where torchvision looks
    raw.mkdir(parents=True)
    for archive in folder.glob(archives):
        extract_archive(str(archive), str(raw))
    for train in (True, False):
        half = getattr(datasets, name)(folder, train=train, **options)
        yield half.data.numpy(), half.targets.numpy()


@dataset(
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)
def mnist(folder: Path) -> Raw:
    """Return MNIST: 60,000 + 10,000 handwritten digits, 28x28, grey."""
    train, test = (Part(images[:, None], labels) for images, labels in _idx("MNIST", folder))
    return Raw(DIGITS, train, test=test)


@dataset(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)
def fashion_mnist(folder: Path) -> Raw:
    """Return Fashion-MNIST: 60,000 + 10,000 pieces of clothing of 10 kinds, 28x28, grey."""
    from torchvision.datasets import FashionMNIST

    train, test = (Part(images[:, None], labels) for images, labels in _idx("FashionMNIST", folder))
    return Raw(FashionMNIST.classes, train, test=test)


@dataset("https://biometrics.nist.gov/cs_links/EMNIST", {"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"})
def emnist(folder: Path) -> Raw:
    """Return EMNIST's split ``balanced``: 112,800 + 18,800 handwritten digits and letters, 28x28, grey.

    Of the 47 classes, those of letters that look alike as capital and small stand for both.
    """
    from torchvision.datasets import EMNIST

    unpack(folder / "gzip.zip", folder)
    halves = _idx("EMNIST", folder, "gzip/emnist-balanced-*.gz", split="balanced")
    train, test = (Part(images.swapaxes(1, 2)[:, None], labels) for images, labels in halves)  # published mirrored
    return Raw(EMNIST.classes_split_dict["balanced"], train, test=test)


@dataset(
    "https://raw.githubusercontent.com/facebookresearch/qmnist/master",
    {
        "qmnist-train-images-idx3-ubyte.gz": "ed72d4157d28c017586c42bc6afe6370",
        "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
        "qmnist-test-images-idx3-ubyte.gz": "1394631089c404de565df7b7aeaf9412",
        "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
    },
)
def qmnist(folder: Path) -> Raw:
    """Return QMNIST: MNIST made anew, with 60,000 + 60,000 digits; the first 10,000 of the test part are MNIST's."""
    # a label's other columns say who wrote the digit, and where it stands
    train, test = (Part(images[:, None], labels[:, 0]) for images, labels in _idx("QMNIST", folder))
    return Raw(DIGITS, train, test=test)


def _unchecked(name: str) -> Any:
    """Return a dataset of torchvision's that does not check what was unpacked.

    Its check is of the full archives' members: ours, of the archive as configured, has been made.
    """
    from torchvision import datasets

    return type(name, (getattr(datasets, name),), {"_check_integrity": lambda self: True})


def _cifar(name: str, folder: Path, archive: str) -> Raw:
    unpack(folder / archive, folder)
    train, test = (_unchecked(name)(folder, train=train) for train in (True, False))
    parts = [Part(half.data.transpose(0, 3, 1, 2), np.array(half.targets, np.int64)) for half in (train, test)]
    return Raw(train.classes, parts[0], test=parts[1])


@dataset(
    "https://www.cs.toronto.edu/~kriz",
    {"cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"},
)
def cifar10(folder: Path) -> Raw:
    """Return CIFAR-10: 50,000 + 10,000 photographs of 10 kinds of things, 32x32, colour."""
    return _cifar("CIFAR10", folder, "cifar-10-python.tar.gz")


@dataset(
    "https://www.cs.toronto.edu/~kriz",
    {"cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"},
)
def cifar100(folder: Path) -> Raw:
    """Return CIFAR-100 with its 100 fine labels: 50,000 + 10,000 photographs, 32x32, colour."""
    return _cifar("CIFAR100", folder, "cifar-100-python.tar.gz")


@dataset(
    "http://ufldl.stanford.edu/housenumbers",
    {
        "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    },
)
def svhn(folder: Path) -> Raw:
    """Return SVHN: 73,257 + 26,032 digits of house numbers, 32x32, colour."""
    halves = (_unchecked("SVHN")(folder, split=split) for split in ("train", "test"))
    train, test = (Part(half.data, np.asarray(half.labels, np.int64)) for half in halves)
    return Raw(DIGITS, train, test=test)


@dataset("http://ai.stanford.edu/~acoates/stl10", {"stl10_binary.tar.gz": "91f7769df0f17e558f3565bffb0c7dfb"})
def stl10(folder: Path) -> Raw:
    """Return STL-10's labelled images: 5,000 + 8,000 photographs of 10 kinds of things, 96x96, colour."""
    unpack(folder / "stl10_binary.tar.gz", folder)
    train, test = (_unchecked("STL10")(folder, split=split) for split in ("train", "test"))
    parts = [Part(half.data, half.labels.astype(np.int64)) for half in (train, test)]
    return Raw(train.classes, parts[0], test=parts[1])


@dataset(
    "http://cs231n.stanford.edu",
    {"tiny-imagenet-200.zip": "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"},
)
def tiny_imagenet(folder: Path) -> Raw:
    """Return Tiny ImageNet: 100,000 photographs of 200 classes, 64x64; its labelled ``val`` folder is the test part.

    The labels of its own ``test`` folder were never published.
    """
    unpack(folder / "tiny-imagenet-200.zip", folder)
    root = folder / "tiny-imagenet-200"
    wnids = (root / "wnids.txt").read_text().split()
    words = dict(line.split("\t", 1) for line in (root / "words.txt").read_text().splitlines())
    label = {wnid: index for index, wnid in enumerate(sorted(wnids))}
    train = [(path, label[path.parent.parent.name]) for path in sorted((root / "train").glob("*/images/*.JPEG"))]
    annotations = [line.split("\t") for line in (root / "val" / "val_annotations.txt").read_text().splitlines()]
    test = [(root / "val" / "images" / file, label[wnid]) for file, wnid, *_ in annotations]
    return Raw([words[wnid].split(",")[0] for wnid in label], _decode(train), test=_decode(test))


@dataset(
    "https://image-net.org/data/downsample",
    {
        "Imagenet32_train_npz.zip": "3e3d1b7ddb901d59d1fbcba69b3676fa",
        "Imagenet32_val_npz.zip": "0300f7a8c5de0c82fb6fc6092b4858ed",
    },
)
def imagenet32(folder: Path) -> Raw:
    """Return ImageNet at 32x32 (Chrabaszcz et al., 2017): 1,281,167 + 50,000 photographs of 1,000 kinds of things.

    Its classes are numbered as its publishers number them, from 1, which is not the order of torchvision's weights.
    """
    parts = {}
    for part in ("train", "val"):
        unpack(folder / f"Imagenet32_{part}_npz.zip", folder / part)
        batches = [np.load(batch) for batch in sorted((folder / part).rglob("*.npz"))]
        images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([batch["labels"] for batch in batches]).astype(np.int64)
        parts[part] = Part(images, labels - 1)
    return Raw([str(number) for number in range(1, 1001)], parts["train"], test=parts["val"])


@dataset(
    "https://zenodo.org/records/2546921/files",  # torchvision's archives, which it takes from Google Drive
    {
        "camelyonpatch_level_2_split_train_x.h5.gz": "1571f514728f59376b705fc836ff4b63",
        "camelyonpatch_level_2_split_train_y.h5.gz": "35c2d7259d906cfc8143347bb8e05be7",
        "camelyonpatch_level_2_split_valid_x.h5.gz": "d5b63470df7cfa627aeec8b9dc0c066e",
        "camelyonpatch_level_2_split_valid_y.h5.gz": "2b85f58b927af9964a4c15b8f7e8f179",
        "camelyonpatch_level_2_split_test_x.h5.gz": "d8c2d60d490dbd479f8199bdfa0cf6ec",
        "camelyonpatch_level_2_split_test_y.h5.gz": "60a7035772fbdb7f34eb86d4420cf66a",
    },
)
def pcam(folder: Path) -> Raw:
    """Return PatchCamelyon: 262,144 + 32,768 + 32,768 patches of lymph nodes, 96x96, colour.

    A patch is of class ``tumour`` where a pixel of its middle, 32x32, is.
    """
    return Raw(["normal", "tumour"], *(_patches(folder, split) for split in ("train", "valid", "test")))


def _patches(folder: Path, split: str) -> Part:
    """Read a split of PatchCamelyon; its images, up to 7 GB, are left on the disk until they are needed."""
    import h5py

    for archive in folder.glob(f"*_{split}_?.h5.gz"):
        with gzip.open(archive) as packed, open(archive.with_suffix(""), "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    images, labels = (h5py.File(folder / f"camelyonpatch_level_2_split_{split}_{axis}.h5") for axis in "xy")
    with images, labels, tempfile.TemporaryFile() as file:
        for start in range(0, len(images["x"]), 1024):
            file.write(images["x"][start : start + 1024].transpose(0, 3, 1, 2).tobytes())
        channels_first = np.memmap(file, np.uint8, "r", shape=(len(images["x"]), 3, 96, 96))
        return Part(channels_first, labels["y"][:, 0, 0, 0].astype(np.int64))


def _square(size: int, banner: int = 0) -> Callable[[Any], np.ndarray]:
    """Return the transform of a picture, but for `banner` rows at its bottom, into an array (3, `size`, `size`)."""

    def transform(picture: Any) -> np.ndarray:
        seen = picture.crop((0, 0, picture.width, picture.height - banner))
        return np.asarray(seen.resize((size, size))).transpose(2, 0, 1)

    return transform


def _collected(split: Any) -> Part:
    images, labels = zip(*split, strict=True)
    return Part(np.stack(images), np.array(labels, np.int64))


@dataset(
    "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370",
    {
        "GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
        "GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
        "GTSRB_Final_Test_GT.zip": "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    },
    size=32,
)
def gtsrb(folder: Path, size: int) -> Raw:
    """Return GTSRB: 26,640 + 12,630 German traffic signs of 43 kinds, resized, colour.

    Its training images come in tracks, each of one sign that is driven by: the split into training and validation goes
    through tracks, so that validation accuracies are higher than those on the test part.
    """
    from torchvision.datasets import GTSRB

    for archive in folder.glob("*.zip"):
        unpack(archive, folder / "gtsrb")  # where torchvision looks
    halves = (GTSRB(folder, split=split, transform=_square(size)) for split in ("train", "test"))
    train, test = map(_collected, halves)
    return Raw([str(sign) for sign in range(43)], train, test=test)


@dataset(
    "https://www.robots.ox.ac.uk/~vgg/data/dtd/download",
    {"dtd-r1.0.1.tar.gz": "fff73e5086ae6bdbea199a49dfb8a4c1"},
    size=64,
)
def dtd(folder: Path, size: int) -> Raw:
    """Return DTD in its first partition: 1,880 + 1,880 + 1,880 textures of 47 kinds, resized, colour."""
    from torchvision.datasets import DTD

    unpack(folder / "dtd-r1.0.1.tar.gz", folder / "dtd")  # where torchvision looks
    splits = [DTD(folder, split=split, transform=_square(size)) for split in ("train", "val", "test")]
    return Raw(splits[0].classes, *map(_collected, splits))


@dataset(
    "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives",
    {"fgvc-aircraft-2013b.tar.gz": "d4acdd33327262359767eeaa97a4f732"},  # of R's torchvision; Python's checks none
    size=64,
)
def fgvc_aircraft(folder: Path, size: int) -> Raw:
    """Return FGVC-Aircraft: 3,334 + 3,333 + 3,333 photographs of aircraft of 100 variants, resized, colour.

    The line of text at the bottom of each, which says whose photograph it is, is left out.
    """
    from torchvision.datasets import FGVCAircraft

    unpack(folder / "fgvc-aircraft-2013b.tar.gz", folder)
    transform = _square(size, banner=20)
    splits = [FGVCAircraft(folder, split=split, transform=transform) for split in ("train", "val", "test")]
    return Raw(splits[0].classes, *map(_collected, splits))


@dataset(
    "https://data.caltech.edu/records/mzrjq-6wc02/files",
    {"caltech-101.zip": "3138e1922a9193bfa496528edbbc45d0"},
    size=64,
)
def caltech101(folder: Path, size: int) -> Raw:
    """Return Caltech-101: 8,677 photographs of 101 kinds of things, resized, colour; it has no test part."""
    unpack(folder / "caltech-101.zip", folder)
    unpack(folder / "caltech-101" / "101_ObjectCategories.tar.gz", folder)
    root = folder / "101_ObjectCategories"
    shutil.rmtree(root / "BACKGROUND_Google")  # no kind of things, but whatever a search found
    return _from_folder(root, size)


# ------------------------------------------------------------------------------------------------- users' images
PARTS = {"train": "train", "val": "validation", "test": "test"}
PART_NAMES = {*PARTS, "training", "valid", "validation", "dev", "testing"}  # what others call them


def folder(path: Path, size: int | None = None) -> Raw:
    """Read a user's own images.

    Parameters
    ----------
    path : Path
        A folder with one folder of images a class; or with ``train``, and ``val`` or ``test`` or both, each of that
        form; or of images alone, which are one class then, to look at and not to learn; or a .zip of any of these.
    size : int, optional
        Resize each image to ``size`` x ``size`` pixels; without it, all must be of one size.

    Returns
    -------
    Raw
        The images as colour images; classes in alphabetical order.

    Raises
    ------
    UserError
        If there is one folder alone, or nothing, a class has no image, an image does not decode or has more than 8 bits
        a channel, the classes of the parts differ, or the sizes differ.
    """
    if path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory() as unpacked:
            unpack(path, Path(unpacked))
            try:
                return _from_folder(_innermost(Path(unpacked)), size)
            except UserError as error:
                raise UserError(str(error).replace(unpacked, str(path))) from error
    if not path.is_dir():
        raise UserError(f"{path}: not a folder of images, nor a .zip of one")
    return _from_folder(path, size)


def _innermost(root: Path) -> Path:
    """Descend while a folder holds one folder and nothing else: the zip of a folder holds that folder."""
    entries = [entry for entry in root.iterdir() if _visible(entry)]
    return _innermost(entries[0]) if len(entries) == 1 and entries[0].is_dir() else root


def _from_folder(root: Path, size: int | None) -> Raw:
    parts = {entry.name for entry in root.iterdir() if entry.is_dir() and _visible(entry)}
    if not PART_NAMES & {name.lower() for name in parts}:
        classes, samples = _samples(root)
        return Raw(classes, _decode(samples, size))
    if "train" not in parts or parts - PARTS.keys():
        raise UserError(f"{root}: found {', '.join(sorted(parts))}; parts are called train, and val or test or both")
    classes, train = _samples(root / "train")
    found = {"train": _decode(train, size)}
    for name in sorted(parts - {"train"}):
        others, samples = _samples(root / name)
        if missing := sorted(set(classes) - set(others)):
            raise UserError(f"{root / name}: has no images of {', '.join(missing)}, which train has")
        if extra := sorted(set(others) - set(classes)):
            raise UserError(f"{root / name}: has {', '.join(extra)}, of which train has no images")
        found[PARTS[name]] = _decode(samples, size)
    return Raw(classes, **found)


def _visible(path: Path) -> bool:
    """Whether it is the user's, rather than what a system leaves in folders."""
    return not path.name.startswith((".", "__"))


def _samples(root: Path) -> tuple[list[str], list[tuple[Path, int]]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension, make_dataset

    def is_image(file: str) -> bool:
        return _visible(Path(file)) and has_file_allowed_extension(file, IMG_EXTENSIONS)

    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _visible(entry))
    if not classes and (unlabelled := sorted(path for path in root.iterdir() if is_image(path.name))):
        return ["unlabelled"], [(path, 0) for path in unlabelled]
    if len(classes) < 2:
        found = f"one folder, {classes[0]}" if classes else "neither folders nor images"
        raise UserError(f"{root}: holds {found}; it takes a folder of images for each of two classes or more")

    try:
        samples = make_dataset(root, {name: label for label, name in enumerate(classes)}, is_valid_file=is_image)
    except FileNotFoundError as error:  # a class without images: torchvision says which
        raise UserError(f"{root}: {error}; images end in {', '.join(IMG_EXTENSIONS)}") from error
    others = {path for name in classes for path in (root / name).rglob("*") if path.is_file() and _visible(path)}
    if left_out := sorted(others - {Path(path) for path, _ in samples}):
        LOG.info("%s: left out %d files without an image's ending, such as %s", root, len(left_out), left_out[0])
    return classes, [(Path(path), label) for path, label in samples]


def decoded(path: str | Path) -> "PIL.Image.Image":
    """Return an image file's picture, in RGB.

    Raises
    ------
    UserError
        If it cannot be read or decoded, or has more than 8 bits a channel.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            deep = opened.mode.startswith(("I", "F"))
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not an image that can be decoded ({error})") from error
    if deep:  # Pillow would clip it to white
        raise UserError(f"{path}: has more than 8 bits a channel; save it with 8")
    return image


def _decode(samples: Iterable[tuple[Path, int]], size: int | None = None) -> Part:
    images, labels, first = [], [], None
    for path, label in samples:
        image = decoded(path)
        if size:
            image = image.resize((size, size))
        pixels = np.asarray(image)  # (H, W, 3)
        first = first or (path, pixels.shape)
        if pixels.shape != first[1]:
            raise UserError(
                f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, but {first[0].name} has "
                f"{first[1][1]}x{first[1][0]}; give the dataset a size, such as size: 64"
            )
        images.append(pixels)
        labels.append(label)
    return Part(np.stack(images).transpose(0, 3, 1, 2), np.array(labels, np.int64))


# ------------------------------------------------------------------------------------------------- the two steps
def fetch_archives(
    name: str, into: Path, *, data_dir: str | None, url: str | Mapping[str, str], sha256: str | Mapping[str, str]
) -> None:
    """Put a registered dataset's archives into a folder.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    into : Path
    data_dir : str, optional
        Where archives are looked for before anything is downloaded: in its folder `name`, then in itself.
    url, sha256 : str or mapping of file to str
        What a user puts in the place of the registry's; plain where the dataset has one archive, empty for none.

    Raises
    ------
    UserError
        If an archive is not to be had, or an override names no archive of the dataset.
    """
    archives = [_override(archive, name, url=url, sha256=sha256) for archive in DATASETS[name].archives]
    into.mkdir(parents=True, exist_ok=True)
    look_in = [Path(data_dir, name), Path(data_dir)] if data_dir else []
    for archive in archives:
        fetch(archive, into / archive.file, look_in)


def _override(archive: Archive, name: str, **overrides: str | Mapping[str, str]) -> Archive:
    files = [one.file for one in DATASETS[name].archives]
    for field, given in overrides.items():
        if isinstance(given, str) and given and len(files) > 1:
            raise UserError(f"datasets: {name}: {field}: give one a file: {', '.join(files)}")
        if not isinstance(given, str) and (odd := sorted(set(given) - set(files))):
            raise UserError(f"datasets: {name}: {field}: {odd[0]!r} is no file of it; they are {', '.join(files)}")
        value = given if isinstance(given, str) else given.get(archive.file)
        if value:
            archive = replace(archive, **{field: value})
    return archive


def prepare(
    name: str,
    source: Path,
    output: Path,
    *,
    own: bool = False,
    size: int | None = None,
    limit: int | None = None,
    sha256: str | Mapping[str, str] = "",
    **made_from: str,
) -> None:
    """Turn archives, or a user's own images, into one ``dataset.h5``.

    Parameters
    ----------
    name : str
        One of `DATASETS`, or the user's name for their own images.
    source : Path
        The folder of the archives, or the user's folder or zip.
    output : Path
    own : bool
        Whether `source` is the user's.
    size : int, optional
        For the user's images: see `folder`; for a registered dataset's that vary in size: see `Entry`.
    limit : int, optional
        Keep this many images at most of those to be split into training and validation, or of each of the two where
        the user has split them, and of the test part; drawn once and for all.
    sha256 : str or mapping
        As for `fetch_archives`: checked once more, as an archive may be opened long after it was fetched.
    **made_from
        What else the file is to say of where it comes from.

    Raises
    ------
    UserError
        If a file is not what it should be; nothing is written then.
    """
    raw = folder(source, size) if own else _read(name, source, size, sha256)
    if limit:
        raw = Raw(raw.classes, *(_limited(part, limit) for part in (raw.train, raw.validation, raw.test)))
    pool, split = _split(name, raw)
    mean, std = channel_statistics(pool.images, split["train"])
    store.write_dataset(
        output,
        name=name,
        classes=raw.classes,
        mean=mean,
        std=std,
        pool=pool,
        split=split,
        test=raw.test,
        provenance=provenance(dataset=name, size=size, limit=limit, sha256=sha256, **made_from),
    )
    sizes = {part: len(indices) for part, indices in split.items()} | {"test": len(raw.test) if raw.test else 0}
    LOG.info("%s: %s, %d classes, images %s", name, sizes, len(raw.classes), pool.images.shape[1:])


def _read(name: str, archives: Path, size: int | None, sha256: str | Mapping[str, str]) -> Raw:
    entry = DATASETS[name]
    resized = [size or entry.size] if entry.size else []
    with tempfile.TemporaryDirectory() as work:  # in TMPDIR, which Snakemake sets
        for archive in entry.archives:
            path = archives / archive.file
            check(path, _override(archive, name, sha256=sha256).sha256)
            (Path(work) / archive.file).symlink_to(path.resolve())
        try:
            return entry.read(Path(work), *resized)
        except UserError:
            raise
        except Exception as error:
            # whatever it is that a library stumbles over, it is the archive that is not as it should be
            if store.disk_is_full(error, Path(work)):
                raise UserError(f"{work}: no space left to unpack {name}; set TMPDIR to a larger disk") from error
            files = ", ".join(str(archives / archive.file) for archive in entry.archives)
            raise UserError(f"{files}: cannot be read as {name} ({type(error).__name__}: {error})") from error


def _limited(part: Any, limit: int) -> Any:
    if part is None or len(part) <= limit:
        return part
    chosen = np.random.default_rng(stream(SPLIT_SEED, "limit")).permutation(len(part))[:limit]
    return part.subset(np.sort(chosen))


def _split(name: str, raw: Raw) -> tuple[Part, dict[str, np.ndarray]]:
    n = len(raw.train)
    if raw.validation is not None:
        parts = (raw.train, raw.validation)
        pool = Part(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))
        return pool, {"train": np.arange(n), "validation": np.arange(n, len(pool))}
    held_out = round(n * VALIDATION_SHARE)
    if not 0 < held_out < n:
        raise UserError(f"datasets: {name}: {n} images cannot be split 80/20; it needs at least 3")
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    return raw.train, {"train": np.sort(order[held_out:]), "validation": np.sort(order[:held_out])}


def channel_statistics(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel, on the scale 0..1.

    Parameters
    ----------
    images : ndarray
        uint8 (M, C, H, W).
    rows : ndarray
        Of which of them; they are taken a thousand at a time, as all may be half of what the memory holds.

    Returns
    -------
    mean, std : ndarray
        float64 (C,), exact: from counts of the 256 values.
    """
    values = np.arange(256) / 255
    counts = np.zeros((images.shape[1], 256), np.int64)
    for some in np.array_split(rows, max(1, len(rows) // 1024)):
        batch = images[some]
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(batch[:, channel].ravel(), minlength=256)
    share = counts / counts.sum(1, keepdims=True)  # (C, 256)
    mean = share @ values
    return mean, np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
