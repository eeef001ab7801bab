"""Find, check and unpack archives.

Nothing in an archive is read before its checksum has matched.
"""

import gzip
import logging
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from ansatz.data.conventions import PASSWORD, holds_password
from ansatz.data.download import download
from ansatz.errors import UserError
from ansatz.files.atomic import atomic, disk_is_full
from ansatz.files.hashing import checksum
from ansatz.registry import find

LOG = logging.getLogger(__name__)
# RuntimeError: an encrypted zip, or a compression that Python does not support
UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, IndexError, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile),
)


@dataclass(frozen=True)
class Archive:
    """A file that a dataset's or a network's authors have published.

    Attributes
    ----------
    file : str
        Its name where it is published, and in a `data_dir`.
    url : str
    sha256 : str
        In hexadecimal; its first digits are enough (torchvision's weights carry eight in their names). 32 digits are an
        MD5, for archives of which no SHA-256 is published.
    """

    file: str
    url: str
    sha256: str

    def __post_init__(self) -> None:
        """Refuse a name that leads out of the folder of archives, and an address that logs should not show."""
        if PurePosixPath(str(self.file)).name != self.file:
            raise UserError(f"{self.file!r} is no name of an archive; put the rest of its path into the address")
        if not re.fullmatch("[0-9a-fA-F]{8,64}", str(self.sha256)):
            raise UserError(f"{self.file}: {self.sha256!r} is no checksum; give its SHA-256, or else its MD5")
        if holds_password(self.url):
            raise UserError(f"{self.file}: its address {PASSWORD}")


def published_archives(name: str) -> list[Archive]:
    """Return the archives of a registered dataset, as it declares them."""
    declared = find("dataset", name).declared
    return [Archive(file, f"{declared['address']}/{file}", checksum) for file, checksum in declared["files"].items()]


def configured_archives(name: str, **overrides: str | Mapping[str, str]) -> list[Archive]:
    """Return the archives of a registered dataset, with a user's `url` or `sha256` in place of what it declares.

    Parameters
    ----------
    name : str
        A registered dataset.
    **overrides : str or mapping of file to str
        By field of `Archive`: text for a dataset of one archive, empty for none.

    Raises
    ------
    UserError
        If an override names no archive of the dataset.
    """
    archives = published_archives(name)
    files = [archive.file for archive in archives]
    for field, values in overrides.items():
        if isinstance(values, str):
            if values and len(files) > 1:
                raise UserError(f"datasets.{name}.{field}: give one for each file: {', '.join(files)}")
            values = dict.fromkeys(files, values)
        if unknown := sorted(set(values) - set(files)):
            raise UserError(f"datasets.{name}.{field}: {unknown[0]!r} is not among its files: {', '.join(files)}")
        archives = [
            replace(archive, **{field: values.get(archive.file) or getattr(archive, field)}) for archive in archives
        ]
    return archives


def fetch_archives(name: str, into: Path, **options: Any) -> None:
    """Put all archives of a registered dataset into a folder; the options and errors are those of `fetch_archive`."""
    into.mkdir(parents=True, exist_ok=True)
    for archive in published_archives(name):
        fetch_archive(name, archive.file, into / archive.file, **options)


def fetch_archive(
    name: str,
    file: str,
    target: Path,
    *,
    data_dir: str | None,
    url: str | Mapping[str, str],
    sha256: str | Mapping[str, str],
) -> None:
    """Put an archive of a registered dataset at `target`.

    Parameters
    ----------
    name, file : str
        The dataset, and the name that it declares for the archive.
    target : Path
    data_dir : str, optional
        Where archives are looked for before anything is downloaded: in its folder `name`, then in itself.
    url, sha256 : str or mapping of file to str
        As for `configured_archives`.

    Raises
    ------
    UserError
        If the archive cannot be had, or an override names no archive of the dataset.
    """
    archives = {archive.file: archive for archive in configured_archives(name, url=url, sha256=sha256)}
    if file not in archives:
        raise UserError(f"{name}: {file!r} is not among its archives: {', '.join(archives)}")
    fetch(archives[file], target, [Path(data_dir, name), Path(data_dir)] if data_dir else [])


def fetch(archive: Archive, target: Path, look_in: Sequence[Path]) -> None:
    """Put an archive at `target`: a link to a local copy, or a download.

    A download that breaks off is kept beside the target, and the next call continues it.

    Parameters
    ----------
    archive : Archive
    target : Path
    look_in : sequence of Path
        Folders in which ``archive.file`` is looked for before it is downloaded.

    Raises
    ------
    UserError
        If there is no copy with the right checksum.
    """
    for folder in look_in:
        if (local := folder / archive.file).is_file():
            check(local, archive.sha256)
            LOG.info("found %s", local)
            with atomic(target) as temporary:
                temporary.symlink_to(local.resolve())
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        _download(archive, part)
    except OSError as error:
        if disk_is_full(error, target.parent):
            raise UserError(f"{target}: no space left on the device; {part} is kept, to be continued") from error
        raise
    os.replace(part, target)


def _download(archive: Archive, part: Path) -> None:
    begun = part.exists()
    download(archive.url, part)
    try:
        check(part, archive.sha256, origin=archive.url)
    except UserError:
        part.unlink()
        if not begun:
            raise
        LOG.info("%s: what was begun earlier does not belong to it; downloading all of it", archive.url)
        _download(archive, part)


def check(path: Path, expected: str, origin: str | None = None) -> None:
    """Compare a file's SHA-256, or its MD5 where 32 digits are expected, with the expected one or its first digits.

    Raises
    ------
    UserError
        If they differ, or the file cannot be read; it names the file's `origin`, by default its path.
    """
    name = origin or path
    algorithm = "md5" if len(expected) == 32 else "sha256"
    try:
        actual = checksum(path, algorithm)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}") from error
    if not actual.startswith(expected.lower()):
        raise UserError(
            f"{name}: its {algorithm} is {actual}, not {expected}: truncated, changed, or another version "
            "(if it is the right one, set its sha256 in the configuration)"
        )


def unpack(archive: Path, into: Path) -> None:
    """Unpack a .zip, .tar or .tar.gz into a folder.

    Members that would be written outside it are refused, and so are links, which may lead others outside.

    Raises
    ------
    UserError
        If the file is truncated, no archive, or unsafe.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for member in packed.infolist():
                    _refuse_unsafe(archive, member.filename, is_link=stat.S_ISLNK(member.external_attr >> 16))
                packed.extractall(into)
        else:
            with tarfile.open(archive) as packed_tar:
                packed_tar.extractall(into, filter=partial(_safe_member, archive))
    except UserError:
        raise
    except tarfile.FilterError as error:
        raise UserError(f"{archive}: {error}; refused") from error
    except UNREADABLE as error:
        if disk_is_full(error, into):
            raise UserError(f"{archive}: no space left in {into} to unpack it") from error
        reason = str(error).partition("\n")[0].rstrip(":")  # the first line says all
        raise UserError(f"{archive}: not a complete zip or tar archive ({reason})") from error


def gunzip(archive: Path, to: Path) -> None:
    """Unpack a .gz into a file.

    Raises
    ------
    UserError
        If it is truncated or no .gz.
    """
    try:
        with gzip.open(archive) as packed, open(to, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 2**20)
    except UNREADABLE as error:
        if disk_is_full(error, to.parent):
            raise UserError(f"{archive}: no space left in {to.parent} to unpack it") from error
        raise UserError(f"{archive}: not a complete gzip file ({error})") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file that is read in the body if it is not what it should be; libraries raise any error, without names.

    Raises
    ------
    UserError
        In place of any other error but that of a full disk.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing") from error
    except Exception as error:
        if isinstance(error, UserError) or disk_is_full(error, Path(tempfile.gettempdir())):
            raise
        raise UserError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error


def _safe_member(archive: Path, member: tarfile.TarInfo, into: str) -> tarfile.TarInfo:
    _refuse_unsafe(archive, member.name, is_link=member.issym() or member.islnk())
    return tarfile.data_filter(member, into)


def _refuse_unsafe(archive: Path, member: str, *, is_link: bool) -> None:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member:
        raise UserError(f"{archive}: member {member!r} would be written outside the folder; refused")
    if is_link:
        raise UserError(f"{archive}: member {member!r} is a link; refused")
