"""Which files are a user's own images, and whether they have changed; free of PyTorch, as rules ask it as well."""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ansatz.errors import UserError
from ansatz.files.hashing import checksum

LOG = logging.getLogger(__name__)
ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
PARTS = {"train": "train", "val": "validation", "test": "test"}
PART_NAMES = {*PARTS, "training", "valid", "validation", "dev", "testing"}  # also those that are not accepted
COMPARED = 2**30  # bytes of images up to which their contents are compared; a second or two

Classes = dict[str, list[Path]]


def images_of(root: Path) -> dict[str, Classes]:
    """Return the images in a folder as they are read: by part, then by class, in order.

    Links are followed. Files and folders that systems leave behind, whose names begin with ``.`` or ``__``, are passed
    over.

    Parameters
    ----------
    root : Path
        As for `ansatz.data.folders.read_folder`.

    Returns
    -------
    dict of str to dict of str to list of Path
        The parts are ``train`` and, if they are there, ``validation`` and ``test``.

    Raises
    ------
    UserError
        If there is only one folder, or nothing, a class has no image, the classes of the parts differ, a name is not
        UTF-8, a link leads back to a folder that holds it, or what is named like an image is no file.
    """
    names = {entry.name for entry in visible(root) if entry.is_dir()}
    if not PART_NAMES & {name.lower() for name in names}:
        return {"train": _classes(root)}
    if "train" not in names or names - PARTS.keys():
        listed = ", ".join(sorted(names))
        raise UserError(f"{root}: contains {listed}; parts must be called train, and val or test or both")
    parts = {PARTS[name]: _classes(root / name) for name in PARTS if name in names}
    for name in sorted(names - {"train"}):
        train, other = parts["train"], parts[PARTS[name]]
        if missing := sorted(train.keys() - other.keys()):
            raise UserError(f"{root / name}: has no images of {', '.join(missing)}, which train has")
        if extra := sorted(other.keys() - train.keys()):
            raise UserError(f"{root / name}: has images of {', '.join(extra)}, which train does not have")
    return parts


def identity(source: Path) -> str:
    """Return a hash of a user's own images, which changes when what is read from them does.

    It is made from the names and the contents of the files in `images_of`, or of a zip; beyond `COMPARED` bytes, as
    reading them takes long, from their names, sizes and dates.
    """
    parts = images_of(source) if source.is_dir() else {"zip": {"": [_regular(source)]}}
    files = [file for classes in parts.values() for images in classes.values() for file in images]
    total = sum(file.stat().st_size for file in files)
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        content = checksum(file) if total <= COMPARED else f"{status.st_size} {status.st_mtime_ns}"
        digest.update(os.fsencode(os.path.relpath(file, source)) + b"\0" + content.encode() + b"\0")
    return digest.hexdigest()


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder, in order, without what systems leave behind.

    Raises
    ------
    UserError
        If a link leads nowhere, or to itself.
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__")))
    for entry in entries:
        if entry.is_symlink() and not entry.exists():
            raise UserError(f"{entry}: links to nothing; remove the link, or restore what it links to")
    return entries


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


def _classes(root: Path) -> Classes:
    """Return the images of each class; without classes, all are of one that is called ``unlabelled``."""
    entries = visible(root)
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders and (unlabelled := [entry for entry in entries if _is_image(entry)]):
        return {"unlabelled": list(map(_regular, unlabelled))}
    if len(folders) < 2:
        content = f"only one folder, {folders[0].name}" if folders else "neither folders nor images"
        raise UserError(f"{root}: contains {content}; at least two classes are required, each a folder of images")
    for folder in folders:
        if not _is_utf8(folder.name):
            raise UserError(f"{root}: the name of the folder {os.fsencode(folder.name)!r} is not UTF-8; rename it")
    files = {folder.name: list(_files(folder, (root.resolve(),))) for folder in folders}
    classes = {name: sorted(filter(_is_image, paths), key=_by_folder) for name, paths in files.items()}
    if empty := [name for name, images in classes.items() if not images]:
        raise UserError(f"{root}: no images in {', '.join(empty)}; their names must end in {', '.join(ENDINGS)}")
    if skipped := [path for paths in files.values() for path in paths if not _is_image(path)]:
        LOG.info("%s: skipped %d files without an image extension, such as %s", root, len(skipped), skipped[0])
    return {name: list(map(_regular, images)) for name, images in classes.items()}


def _files(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield all that is in a folder and in those below it, except for folders; `above` are the folders passed."""
    real = folder.resolve()
    if any(real == passed or real in passed.parents for passed in above):
        raise UserError(f"{folder}: links to a folder that contains it; remove the link")
    for entry in visible(folder):
        if entry.is_dir():
            yield from _files(entry, (*above, real))
        else:
            yield entry


def _by_folder(path: Path) -> tuple[str, str]:
    return str(path.parent), path.name


def _regular(path: Path) -> Path:
    """Return a file; refuse a link to nothing, and a pipe, which would be waited for."""
    if not path.is_file():
        raise UserError(f"{path}: is no regular file")
    return path


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
