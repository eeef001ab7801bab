"""Checksums of files and fingerprints of arrays."""

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # which imports this module's siblings
    from ansatz.files.hdf5 import Pieces


def checksum(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return a file's checksum, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fingerprint(*arrays: "np.ndarray | Pieces") -> str:
    """Return a SHA-256 of the arrays' types, shapes and bytes, by which a checkpoint recognizes its inputs."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for piece in [array] if isinstance(array, np.ndarray) else array.read():
            digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()
