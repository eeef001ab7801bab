"""Archives: found, downloaded, checked, unpacked. Nothing in an archive is read before its checksum has matched."""

import logging
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import URLError

from ansatz.errors import UserError
from ansatz.store import atomic, checksum, disk_is_full

LOG = logging.getLogger(__name__)
# A RuntimeError is an encrypted zip, or one compressed in a way that Python does not know.
UNREADABLE = (OSError, EOFError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Archive:
    """A file of a dataset's or a network's publishers.

    Attributes
    ----------
    file : str
        Its name upstream, and in a `data_dir`.
    url : str
    sha256 : str
        In hexadecimal; the beginning of one is enough (torchvision's weights carry eight digits in their names). 32
        digits are an MD5, for archives of which no SHA-256 is published.
    """

    file: str
    url: str
    sha256: str


def fetch(archive: Archive, target: Path, look_in: Sequence[Path]) -> None:
    """Put an archive at `target`: a link to where it is at hand, or a download.

    Parameters
    ----------
    archive : Archive
    target : Path
    look_in : sequence of Path
        Folders that are looked into for ``archive.file`` before anything is downloaded.

    Raises
    ------
    UserError
        If no copy with the right checksum is to be had.
    """
    for folder in look_in:
        if (found := folder / archive.file).is_file():
            check(found, archive.sha256)
            LOG.info("found %s", found)
            with atomic(target) as temporary:
                temporary.symlink_to(found.resolve())
            return
    with atomic(target) as temporary:
        _download(archive.url, temporary)
        check(temporary, archive.sha256, called=archive.url)


def check(path: Path, expected: str, called: str | None = None) -> None:
    """Compare a file's SHA-256 with the `expected` one, or its beginning; its MD5 with one of 32 digits.

    Raises
    ------
    UserError
        If they differ, or the file cannot be read.
    """
    name = called or path
    algorithm = "md5" if len(expected) == 32 else "sha256"
    try:
        found = checksum(path, algorithm)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}") from error
    if not found.startswith(expected.lower()):
        raise UserError(
            f"{name}: its {algorithm} is {found}, not {expected}: truncated, changed, or another version "
            "(if it is the one you mean, give its sha256 in the config)"
        )


def _download(url: str, to: Path) -> None:
    from torch import hub  # here, as it takes seconds, and most fetches find their file at hand

    LOG.info("downloading %s", url)
    try:
        hub.download_url_to_file(url, str(to), progress=sys.stderr.isatty())
    except (URLError, TimeoutError, ConnectionError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url}: cannot be downloaded ({reason}); put the file into the config's data_dir") from error


def unpack(archive: Path, into: Path) -> None:
    """Unpack a .zip, .tar or .tar.gz into a folder; members that would land outside of it are refused.

    Raises
    ------
    UserError
        If the archive is truncated, no archive, or unsafe.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for member in packed.namelist():
                    path = PurePosixPath(member)
                    if path.is_absolute() or ".." in path.parts or "\\" in member:
                        raise UserError(f"{archive}: member {member!r} would be written outside the folder; refused")
                packed.extractall(into)
        else:
            with tarfile.open(archive) as packed_tar:
                packed_tar.extractall(into, filter="data")
    except tarfile.FilterError as error:
        raise UserError(f"{archive}: {error}; refused") from error
    except UNREADABLE as error:
        if disk_is_full(error, into):
            raise UserError(f"{archive}: no space left in {into} to unpack it") from error
        raise UserError(f"{archive}: not a whole zip or tar archive ({error})") from error
