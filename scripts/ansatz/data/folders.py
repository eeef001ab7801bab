"""A user's own images, in folders or a zip."""

import tempfile
from pathlib import Path

from ansatz.data.archives import unpack
from ansatz.data.decoding import decode_images
from ansatz.data.listing import images_of, visible
from ansatz.data.raw import RawDataset
from ansatz.errors import UserError


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
    if path.suffix.lower() == ".zip" and path.is_file():
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
    entries = visible(root)
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
        As for `ansatz.data.listing.images_of`; or if an image cannot be decoded or has more than 8 bits per channel,
        or the sizes differ.
    """
    parts = images_of(root)
    samples = {
        part: [(file, label) for label, files in enumerate(classes.values()) for file in files]
        for part, classes in parts.items()
    }
    return RawDataset(list(parts["train"]), **{part: decode_images(files, size) for part, files in samples.items()})
