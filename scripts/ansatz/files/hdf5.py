"""Trees of arrays and attributes in HDF5 files, written whole or not at all, and read as they were written."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ansatz.errors import UserError
from ansatz.files.atomic import atomic

if TYPE_CHECKING:  # h5py takes long to import, and some jobs never need it
    import h5py

Content = TypeVar("Content")
PIECE = 2**24  # bytes of an array that are verified at once


@dataclass(frozen=True)
class Pieces:
    """An array that is written in pieces, as it need not fit into memory; `read` returns them in order."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], Iterator[np.ndarray]]


class Group(dict[str, Any]):
    """A group of an HDF5 file: its arrays and groups by name, in order, and its attributes.

    Parameters
    ----------
    members : mapping of str to array, `Pieces`, list of str, or mapping
        A mapping is a group of its own, with attributes where it is a `Group`.
    **attributes
        Numbers, text, or short arrays of them.
    """

    def __init__(self, members: Mapping[str, Any], **attributes: Any) -> None:
        super().__init__(members)
        self.attributes: dict[str, Any] = attributes


def write_tree(
    path: str | os.PathLike[str],
    tree: Mapping[str, Any],
    *,
    provenance: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write a tree of arrays into an HDF5 file, with their fingerprint as an attribute of the whole file.

    Parameters
    ----------
    path : path
    tree : mapping
        The members of a `Group`.
    provenance : mapping
        What made the file, in plain JSON types; stored as the attribute ``provenance``.
    attributes : mapping, optional
        Attributes of the whole file.

    Raises
    ------
    UserError
        If the disk is full; a file of that name is left as it was.
    """
    import h5py

    root = Group(tree, **{**(attributes or {}), "provenance": json.dumps(provenance)})
    with (
        atomic(path) as temporary,
        _WriteErrorsKept(temporary, "w+") as stream,
        h5py.File(stream, "w", track_order=True) as file,
    ):
        _write_group(file, root, stream)
        if not stream.error:
            file.attrs["fingerprint"] = _fingerprint(file)


def _write_group(group: "h5py.Group", tree: Mapping[str, Any], stream: "_WriteErrorsKept") -> None:
    """Write a tree, up to the first error: what HDF5 would read back after it is not there, and may crash HDF5."""
    for name, member in tree.items():
        if stream.error:
            return
        if isinstance(member, Mapping):
            _write_group(group.create_group(name, track_order=True), member, stream)
        elif isinstance(member, Pieces):
            stored, start = group.create_dataset(name, member.shape, member.dtype), 0
            for piece in member.read():
                stored[start : start + len(piece)] = piece
                start += len(piece)
                if stream.error:
                    return
        else:
            group[name] = member
    if isinstance(tree, Group) and not stream.error:
        group.attrs.update(tree.attributes)


class _WriteErrorsKept(io.FileIO):
    """A file for HDF5 to write into, which keeps the first error and raises it at the end.

    HDF5 prints the errors that it meets while writing, and crashes after some of them. Until the end, the file has the
    size that it would have without the error, as HDF5 compares addresses with it. What HDF5 raises itself after the
    error, for want of what was not written, is a consequence.
    """

    error: OSError | None = None
    size = 0  # that everything would take

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self.error:
            raise self.error

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        self.size = max(self.size, self.tell() + len(rest))
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if self.error and whence == os.SEEK_END:
            return super().seek(self.size + offset)
        return super().seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        self.size = self.tell() if size is None else size
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell()


def _fingerprint(file: "h5py.File") -> str:
    """Return a SHA-256 of all arrays, with their names, types and shapes, in the order of the names.

    Attributes are not part of it: they say where arrays come from, which the same arrays may in several ways.
    """
    import h5py

    digest = hashlib.sha256()

    def add(name: str, member: "h5py.Group | h5py.Dataset") -> None:
        if isinstance(member, h5py.Dataset):
            digest.update(f"{name} {member.dtype.str} {member.shape}".encode())
            for piece in _pieces(member):
                digest.update(b"\0".join(piece.ravel()) if piece.dtype == object else np.ascontiguousarray(piece))

    file.visititems(add)
    return digest.hexdigest()


def _pieces(stored: "h5py.Dataset") -> Iterator[np.ndarray]:
    """Yield an array in pieces of `PIECE` bytes."""
    if stored.nbytes <= PIECE or not stored.shape:
        yield stored[...]
        return
    rows = max(1, PIECE * len(stored) // stored.nbytes)
    for start in range(0, len(stored), rows):
        yield stored[start : start + rows]


def read_tree(
    path: str | os.PathLike[str],
    build: Callable[[Group], Content],
    *,
    kind: str = "HDF5 file",
    mapped: Collection[str] = (),
) -> Content:
    """Read a file that `write_tree` wrote, after verifying its fingerprint.

    Parameters
    ----------
    path : path
    build : callable
        Returns what the tree stands for. A member that it misses makes the file unreadable.
    kind : str
        What the file should be, for the message.
    mapped : collection of str
        Arrays, such as ``"test/images"``, that stay in the file and are mapped into memory: only what is used of them
        is read. Changes of a mapped array do not reach the file.

    Raises
    ------
    UserError
        If the file is damaged or of another kind.
    """
    with _opened(path, kind) as file:
        if file.attrs["fingerprint"] != _fingerprint(file):
            raise OSError("its content has changed since it was written")
        return build(_read_group(file, mapped))


def _read_group(group: "h5py.Group", mapped: Collection[str]) -> Group:
    import h5py

    members = {
        name: _read_group(member, mapped) if isinstance(member, h5py.Group) else _read_array(member, mapped)
        for name, member in group.items()
    }
    return Group(members, **_attributes(group))


def _read_array(stored: "h5py.Dataset", mapped: Collection[str]) -> np.ndarray:
    import h5py

    if h5py.check_string_dtype(stored.dtype):
        return stored.asstr()[...]
    offset = stored.id.get_offset() if stored.name.lstrip("/") in mapped else None
    if offset is None:  # also where the array lies in chunks, as another program may have written it
        return stored[...]
    return np.memmap(stored.file.filename, stored.dtype, mode="c", offset=offset, shape=stored.shape)


def read_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the attributes of a whole HDF5 file, and none of its arrays.

    Raises
    ------
    UserError
        If the file is truncated.
    """
    with _opened(path, "HDF5 file") as file:
        return _attributes(file)


def _attributes(group: "h5py.Group") -> dict[str, Any]:
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in group.attrs.items()}


@contextmanager
def _opened(path: str | os.PathLike[str], kind: str) -> Iterator["h5py.File"]:
    import h5py

    try:
        with h5py.File(path) as file:
            yield file
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(f"{path}: {os.strerror(error.errno or 0)}") from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # ValueError: a damaged type
        raise UserError(
            f"{path}: not a readable {kind} ({error}); if it is a result, remove it and run again"
        ) from error
