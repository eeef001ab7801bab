"""A user's own images, in folders or a zip."""

import logging
import tempfile
from pathlib import Path

from ansatz.data.archives import unpack
from ansatz.data.decoding import decode_images
from ansatz.data.raw import RawDataset
from ansatz.errors import UserError

LOG = logging.getLogger(__name__)
PARTS = {"train": "train", "val": "validation", "test": "test"}
PART_NAMES = {*PARTS, "training", "valid", "validation", "dev", "testing"}  # also those that are not accepted


def read_own_images(path: Path, size: int | None = None) -> RawDataset:
    """Read a user's own images.

    Parameters
    ----------
    path : Path
        A folder as for `read_folder`, or a .zip of one.
    size : int, optional
        Resize each image to ``size`` x ``size`` pixels; without it, all must have the same size.

    Returns
    -------
    RawDataset
        The images as colour images; classes in alphabetical order.

    Raises
    ------
    UserError
        If it is no such folder or zip, or the images in it cannot be read.
    """
    if path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory() as unpacked:
            unpack(path, Path(unpacked))
            try:
                return read_folder(_innermost(Path(unpacked)), size)
            except UserError as error:
                raise UserError(str(error).replace(unpacked, str(path))) from error
    if not path.is_dir():
        raise UserError(f"{path}: not a folder of images, nor a .zip of one")
    return read_folder(path, size)


def _innermost(root: Path) -> Path:
    """Descend while a folder holds one folder and nothing else: the zip of a folder holds that folder."""
    entries = [entry for entry in root.iterdir() if _visible(entry)]
    return _innermost(entries[0]) if len(entries) == 1 and entries[0].is_dir() else root


def read_folder(root: Path, size: int | None = None) -> RawDataset:
    """Read a folder of images.

    Parameters
    ----------
    root : Path
        It contains a folder of images for each class; or the folders ``train``, and ``val`` or ``test`` or both, each
        with such folders; or images alone, which then form one class; networks cannot be trained on them.
    size : int, optional
        As for `read_own_images`.

    Raises
    ------
    UserError
        If there is only one folder, or nothing, a class has no image, an image cannot be decoded or has more than
        8 bits per channel, the classes of the parts differ, or the sizes differ.
    """
    names = {entry.name for entry in root.iterdir() if entry.is_dir() and _visible(entry)}
    if not PART_NAMES & {name.lower() for name in names}:
        classes, samples = _samples(root)
        return RawDataset(classes, decode_images(samples, size))
    if "train" not in names or names - PARTS.keys():
        listed = ", ".join(sorted(names))
        raise UserError(f"{root}: contains {listed}; parts must be called train, and val or test or both")
    classes, samples = _samples(root / "train")
    parts = {"train": decode_images(samples, size)}
    for name in sorted(names - {"train"}):
        part_classes, samples = _samples(root / name)
        if missing := sorted(set(classes) - set(part_classes)):
            raise UserError(f"{root / name}: has no images of {', '.join(missing)}, which train has")
        if extra := sorted(set(part_classes) - set(classes)):
            raise UserError(f"{root / name}: has images of {', '.join(extra)}, which train does not have")
        parts[PARTS[name]] = decode_images(samples, size)
    return RawDataset(classes, **parts)


def _visible(path: Path) -> bool:
    """Return whether it is the user's, rather than what an operating system leaves in folders."""
    return not path.name.startswith((".", "__"))


def _samples(root: Path) -> tuple[list[str], list[tuple[Path, int]]]:
    """Return the classes of a folder, and its images with their labels."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension, make_dataset

    def is_image(file: str) -> bool:
        return _visible(Path(file)) and has_file_allowed_extension(file, IMG_EXTENSIONS)

    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _visible(entry))
    if not classes and (unlabelled := sorted(path for path in root.iterdir() if is_image(path.name))):
        return ["unlabelled"], [(path, 0) for path in unlabelled]
    if len(classes) < 2:
        content = f"only one folder, {classes[0]}" if classes else "neither folders nor images"
        raise UserError(f"{root}: contains {content}; at least two classes are required, each a folder of images")
    try:
        samples = make_dataset(root, {name: label for label, name in enumerate(classes)}, is_valid_file=is_image)
    except FileNotFoundError as error:  # a class without images, which torchvision names
        raise UserError(f"{root}: {error}; names of images must end in {', '.join(IMG_EXTENSIONS)}") from error
    files = {path for name in classes for path in (root / name).rglob("*") if path.is_file() and _visible(path)}
    if skipped := sorted(files - {Path(path) for path, _ in samples}):
        LOG.info("%s: skipped %d files without an image extension, such as %s", root, len(skipped), skipped[0])
    return classes, [(Path(path), label) for path, label in samples]
