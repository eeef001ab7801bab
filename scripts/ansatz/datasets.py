"""Name -> images, labels, class names.

A dataset is one function with a decorator: it gets the folder that holds its archives and returns what it read.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ansatz import store
from ansatz.archives import Archive, check, fetch, unpack
from ansatz.errors import UserError
from ansatz.provenance import provenance
from ansatz.seeds import stream
from ansatz.store import Part

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
    """A registered dataset: its archives, and the function that reads them from a folder."""

    read: Callable[[Path], Raw]
    archives: tuple[Archive, ...]


DATASETS: dict[str, Entry] = {}


def dataset(*archives: Archive) -> Callable[[Callable[[Path], Raw]], Callable[[Path], Raw]]:
    """Register a reader under its function's name, with the archives it reads."""

    def register(read: Callable[[Path], Raw]) -> Callable[[Path], Raw]:
        DATASETS[read.__name__] = Entry(read, archives)
        return read

    return register


# ------------------------------------------------------------------------------------------------- the registry
MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"
TORONTO = "https://www.cs.toronto.edu/~kriz"
SVHN = "http://ufldl.stanford.edu/housenumbers"


@dataset()
def digits(folder: Path) -> Raw:
    """Scikit-learn's 1,797 handwritten digits, 8x8, 17 grey levels; they come inside the package."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]  # (1797, 1, 8, 8)
    return Raw([str(digit) for digit in range(10)], Part(images, bunch.target.astype(np.int64)))


@dataset(
    Archive(
        "train-images-idx3-ubyte.gz",
        f"{MNIST}/train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    Archive(
        "train-labels-idx1-ubyte.gz",
        f"{MNIST}/train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    Archive(
        "t10k-images-idx3-ubyte.gz",
        f"{MNIST}/t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    Archive(
        "t10k-labels-idx1-ubyte.gz",
        f"{MNIST}/t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
def mnist(folder: Path) -> Raw:
    """Return MNIST: 60,000 + 10,000 handwritten digits, 28x28, grey."""
    from torchvision.datasets import MNIST
    from torchvision.datasets.utils import extract_archive

    raw = folder / "MNIST" / "raw"  # where torchvision looks
    raw.mkdir(parents=True)
    for archive in folder.glob("*.gz"):
        extract_archive(str(archive), str(raw))
    train, test = (MNIST(folder, train=train) for train in (True, False))
    parts = [Part(half.data.numpy()[:, None], half.targets.numpy()) for half in (train, test)]
    return Raw([str(digit) for digit in range(10)], parts[0], test=parts[1])


def _cifar(name: str, folder: Path, archive: str) -> Raw:
    from torchvision import datasets

    unpack(folder / archive, folder)
    upstream = getattr(datasets, name)
    # torchvision's own check is of the full archives' members: ours, of the archive as configured, has been made
    reader = type(name, (upstream,), {"_check_integrity": lambda self: True})
    train, test = (reader(folder, train=train) for train in (True, False))
    parts = [Part(half.data.transpose(0, 3, 1, 2), np.array(half.targets, np.int64)) for half in (train, test)]
    return Raw(train.classes, parts[0], test=parts[1])


@dataset(
    Archive(
        "cifar-10-python.tar.gz",
        f"{TORONTO}/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    )
)
def cifar10(folder: Path) -> Raw:
    """Return CIFAR-10: 50,000 + 10,000 photographs of 10 kinds of things, 32x32, colour."""
    return _cifar("CIFAR10", folder, "cifar-10-python.tar.gz")


@dataset(
    Archive(
        "cifar-100-python.tar.gz",
        f"{TORONTO}/cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    )
)
def cifar100(folder: Path) -> Raw:
    """Return CIFAR-100 with its 100 fine labels: 50,000 + 10,000 photographs, 32x32, colour."""
    return _cifar("CIFAR100", folder, "cifar-100-python.tar.gz")


@dataset(
    Archive(
        "train_32x32.mat",
        f"{SVHN}/train_32x32.mat",
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    ),
    Archive(
        "test_32x32.mat",
        f"{SVHN}/test_32x32.mat",
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    ),
)
def svhn(folder: Path) -> Raw:
    """Return SVHN: 73,257 + 26,032 digits of house numbers, 32x32, colour."""
    from torchvision import datasets

    reader = type("SVHN", (datasets.SVHN,), {"_check_integrity": lambda self: True})  # checked before, as for CIFAR
    train, test = (reader(folder, split=split) for split in ("train", "test"))
    parts = [Part(half.data, np.asarray(half.labels, np.int64)) for half in (train, test)]
    return Raw([str(digit) for digit in range(10)], parts[0], test=parts[1])


@dataset(
    Archive(
        "tiny-imagenet-200.zip",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
    )
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


# ------------------------------------------------------------------------------------------------- users' images
PARTS = {"train": "train", "val": "validation", "test": "test"}
PART_NAMES = {*PARTS, "training", "valid", "validation", "dev", "testing"}  # what others call them


def folder(path: Path, size: int | None = None) -> Raw:
    """Read a user's own images.

    Parameters
    ----------
    path : Path
        A folder with one folder of images a class; or with ``train``, and ``val`` or ``test`` or both, each of that
        form; or a .zip of either.
    size : int, optional
        Resize each image to ``size`` x ``size`` pixels; without it, all must be of one size.

    Returns
    -------
    Raw
        The images as colour images; classes in alphabetical order.

    Raises
    ------
    UserError
        If there are no two classes, a class has no image, an image does not decode or has more than 8 bits a channel,
        the classes of the parts differ, or the sizes differ.
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

    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _visible(entry))
    if len(classes) < 2:
        found = f"one folder, {classes[0]}" if classes else "no folder"
        raise UserError(f"{root}: holds {found}; it takes a folder of images for each of two classes or more")

    def is_image(file: str) -> bool:
        return _visible(Path(file)) and has_file_allowed_extension(file, IMG_EXTENSIONS)

    try:
        samples = make_dataset(root, {name: label for label, name in enumerate(classes)}, is_valid_file=is_image)
    except FileNotFoundError as error:  # a class without images: torchvision says which
        raise UserError(f"{root}: {error}; images end in {', '.join(IMG_EXTENSIONS)}") from error
    others = {path for name in classes for path in (root / name).rglob("*") if path.is_file() and _visible(path)}
    if left_out := sorted(others - {Path(path) for path, _ in samples}):
        LOG.info("%s: left out %d files without an image's ending, such as %s", root, len(left_out), left_out[0])
    return classes, [(Path(path), label) for path, label in samples]


def _decode(samples: Iterable[tuple[Path, int]], size: int | None = None) -> Part:
    from PIL import Image

    images, labels, first = [], [], None
    for path, label in samples:
        try:
            with Image.open(path) as opened:
                deep = opened.mode.startswith(("I", "F"))
                image = opened.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{path}: not an image that can be decoded ({error})") from error
        if deep:  # Pillow would clip it to white
            raise UserError(f"{path}: has more than 8 bits a channel; save it with 8")
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
        For the user's images: see `folder`.
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
    raw = folder(source, size) if own else _read(name, source, sha256)
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


def _read(name: str, archives: Path, sha256: str | Mapping[str, str]) -> Raw:
    entry = DATASETS[name]
    with tempfile.TemporaryDirectory() as work:  # in TMPDIR, which Snakemake sets
        for archive in entry.archives:
            path = archives / archive.file
            check(path, _override(archive, name, sha256=sha256).sha256)
            (Path(work) / archive.file).symlink_to(path.resolve())
        try:
            return entry.read(Path(work))
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
