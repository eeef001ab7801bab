"""Checksums of files and fingerprints of arrays."""

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def checksum(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return a file's checksum, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fingerprint(*arrays: "np.ndarray") -> str:
    """Return a SHA-256 of the arrays' types, shapes and bytes, by which a checkpoint recognizes its inputs."""
    import numpy as np  # the host of Snakemake, which asks for checksums of files, need not have it

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
