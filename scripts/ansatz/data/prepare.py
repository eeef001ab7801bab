"""Turn archives, or a user's own images, into ``dataset.h5``."""

import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ansatz.data.archives import check, configured_archives
from ansatz.data.conventions import VALIDATION_SHARE
from ansatz.data.folders import read_own_images
from ansatz.data.raw import RawDataset
from ansatz.errors import UserError
from ansatz.files.atomic import disk_is_full
from ansatz.files.dataset import Part, write_dataset
from ansatz.files.pools import Joined
from ansatz.provenance import provenance
from ansatz.registry import find
from ansatz.seeds import derive_seed

LOG = logging.getLogger(__name__)
SPLIT_SEED = 0


def prepare(
    name: str,
    source: str | Path,
    output: Path,
    *,
    own: bool = False,
    size: int | None = None,
    limit: int | None = None,
    sha256: str | Mapping[str, str] = "",
    **origin: str,
) -> None:
    """Turn archives, or a user's own images, into one ``dataset.h5``.

    Parameters
    ----------
    name : str
        A registered dataset, or the user's name for their own images.
    source : path
        The folder of the archives, or the user's folder or zip.
    output : Path
    own : bool
        Whether `source` holds the user's own images.
    size : int, optional
        Side of the squares that images are resized to: see `read_own_images`, and `ansatz.registry.dataset` for
        registered datasets whose images vary in size.
    limit : int, optional
        Keep at most so many of the images that are split into training and validation, or of each of the two where
        they are split already, and of the test part. Always the same ones.
    sha256 : str or mapping
        As for `fetch_archives`: checked once more, as an archive may be opened long after it was fetched.
    **origin
        Further parameters for the file's provenance.

    Raises
    ------
    UserError
        If a file is not what it should be; nothing is written then.
    """
    raw = read_own_images(Path(source), size) if own else _read_registered(name, Path(source), size, sha256)
    if limit:
        held_out = (part and _limited(part, limit) for part in (raw.validation, raw.test))
        raw = RawDataset(raw.classes, _limited(raw.train, limit), *held_out)
    pool, split = _split(name, raw)
    mean, std = channel_statistics(pool.subset(split["train"]).in_pieces().read())
    write_dataset(
        output,
        name=name,
        classes=raw.classes,
        mean=mean,
        std=std,
        pool=pool,
        split=split,
        official_split=raw.validation is not None,
        test=raw.test,
        provenance=provenance(dataset=name, size=size, limit=limit, sha256=sha256, **origin),
    )
    sizes = {part: len(indices) for part, indices in split.items()} | {"test": len(raw.test) if raw.test else 0}
    LOG.info("%s: %s, %d classes, images %s", name, sizes, len(raw.classes), pool.pool.shape[1:])


def _read_registered(name: str, source: Path, size: int | None, sha256: str | Mapping[str, str]) -> RawDataset:
    registered, archives = find("dataset", name), configured_archives(name, sha256=sha256)
    default_size = registered.declared["size"]
    resized = [size or default_size] if default_size else []
    with tempfile.TemporaryDirectory() as work:  # in TMPDIR, which Snakemake sets
        for archive in archives:
            path = source / archive.file
            check(path, archive.sha256)
            (Path(work) / archive.file).symlink_to(path.resolve())
        try:
            return registered.make(RawDataset, Path(work), *resized)
        except Exception as error:  # libraries raise many kinds for an archive with other content
            if disk_is_full(error, Path(work)):
                raise UserError(f"{work}: no space left to unpack {name}; set TMPDIR to a larger disk") from error
            what = str(error).replace(f"{work}/", "")  # which is removed by the time the message is read
            if any(what.startswith(f"{archive.file}: ") for archive in archives):
                raise UserError(f"{source / what}") from error
            if not isinstance(error, UserError):
                what = "files are missing" if "download=True" in what else f"{type(error).__name__}: {what}"
                what = f"cannot be read as {name} ({what})"
            files = ", ".join(str(source / archive.file) for archive in archives) or name
            raise UserError(f"{files}: {what}") from error


def _limited(part: Part, limit: int) -> Part:
    if len(part) <= limit:
        return part
    chosen = np.random.default_rng(derive_seed(SPLIT_SEED, "limit")).permutation(len(part))[:limit]
    return part.subset(np.sort(chosen))


def _split(name: str, raw: RawDataset) -> tuple[Part, dict[str, np.ndarray]]:
    """Return the images to train and validate on, and the rows of either part."""
    n = len(raw.train)
    if raw.validation is not None:
        parts = (raw.train, raw.validation)
        rows = np.concatenate([parts[0].indices, len(parts[0].pool) + parts[1].indices])
        pool = Part(Joined([p.pool for p in parts]), np.concatenate([p.labels for p in parts]), rows)
        return pool, {"train": np.arange(n), "validation": np.arange(n, len(pool))}
    held_out = round(n * VALIDATION_SHARE)
    if not 0 < held_out < n:
        raise UserError(f"datasets.{name}: {n} images cannot be split 80/20; at least 3 are required")
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    return raw.train, {"train": np.sort(order[held_out:]), "validation": np.sort(order[:held_out])}


def channel_statistics(pieces: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel, on the scale 0..1.

    Parameters
    ----------
    pieces : iterable of ndarray
        All images, some at a time: uint8 (n, C, H, W).

    Returns
    -------
    mean, std : ndarray
        float64 (C,), exact: from counts of the 256 values.
    """
    values = np.arange(256) / 255
    counts = [
        [np.bincount(channel.ravel(), minlength=256) for channel in images.swapaxes(0, 1)] for images in pieces
    ]  # of each piece and channel
    total = np.sum(counts, axis=0)  # (C, 256)
    share = total / total.sum(1, keepdims=True)  # (C, 256)
    mean = share @ values
    return mean, np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
