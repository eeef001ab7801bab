"""Files and folders that are written whole or not at all."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ansatz.errors import UserError

Content = TypeVar("Content", bound=Collection)
FULL = ("no space left on device", "disk is full")  # what libraries say in errors of their own, SQLite the latter


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` at the end, or is removed when the body fails.

    The body writes a file there, or makes a folder.

    The temporary name is always the same, so that the next attempt overwrites what a killed process left behind.

    Raises
    ------
    UserError
        If the disk is full or the file too large, which libraries report in many ways.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_of(path)
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            _remove(path)  # no folder replaces another
        os.replace(temporary, path)
    except BaseException as error:
        reason = None
        if disk_is_full(error, path.parent):
            reason = "no space left on the device"
        elif is_too_large(error, temporary):
            reason = "larger than files may be here (ulimit -f)"
        _remove(temporary)
        if reason:
            raise UserError(f"{path}: {reason}; nothing was written") from error
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Return where a file lies until it is complete."""
    return path.with_name(f".{path.name}.partial")


def disk_is_full(error: BaseException, folder: Path) -> bool:
    """Return whether a full disk is why a library failed to write into `folder`."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if any(words in str(error).lower() for words in FULL):
        return True
    return isinstance(error, OSError | RuntimeError) and shutil.disk_usage(folder).free < 2**16


def is_too_large(error: BaseException, file: Path) -> bool:
    """Return whether a limit on the size of files is why a library failed to write one."""
    if isinstance(error, OSError):
        return error.errno == errno.EFBIG
    if sys.platform == "win32" or not isinstance(error, RuntimeError):
        return False
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return limit != resource.RLIM_INFINITY and file.exists() and file.stat().st_size + 2**16 > limit


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text, in UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a dictionary of plain types."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | os.PathLike[str], keys: Iterable[str] = ()) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises
    ------
    UserError
        If the file cannot be read, or lacks one of the `keys`.
    """
    return read_whole(path, lambda path: json.loads(path.read_text(encoding="utf-8")), keys)


def read_whole(path: str | os.PathLike[str], read: Callable[[Path], Content], keys: Iterable[str]) -> Content:
    """Return what `read` makes of a file.

    Raises
    ------
    UserError
        If it cannot be read, is empty, or lacks one of the `keys`.
    """
    try:
        content = read(Path(path))
        complete = len(content) > 0 and set(keys) <= set(content)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); remove it and run again") from error
    if not complete:
        raise UserError(f"{path}: is incomplete; remove it and run again")
    return content
