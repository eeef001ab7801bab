"""Images that need not fit into memory: indexed like arrays, uint8 (N, C, H, W), and read where they are indexed."""

import errno
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ansatz.errors import UserError


class OnDisk:
    """Images in an unnamed file in ``TMPDIR``, which is removed with this object.

    Parameters
    ----------
    pieces : iterable of ndarray
        uint8 (n, C, H, W), at least one; they are written one by one.
    """

    def __init__(self, pieces: Iterable[np.ndarray]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        count, last = 0, np.empty(0)
        try:
            for last in pieces:
                self._file.write(np.ascontiguousarray(last).data)
                count += len(last)
            self._file.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise  # of what the pieces are read from
            raise UserError(
                f"{tempfile.gettempdir()}: {error.strerror}; set TMPDIR to a disk with room for all images"
            ) from error
        self.shape, self.dtype, self.ndim = (count, *last.shape[1:]), last.dtype, last.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        mapped = np.memmap(self._file, self.dtype, "r", shape=self.shape)
        return np.array(mapped[rows])  # a copy, so that nothing stays mapped


class Joined:
    """The images of several pools, one after the other."""

    def __init__(self, pools: Sequence[Any]) -> None:
        self._pools, first = pools, pools[0]
        self.shape, self.dtype, self.ndim = (sum(map(len, pools)), *first.shape[1:]), first.dtype, first.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        rows, start = np.arange(len(self))[rows], 0
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for pool in self._pools:
            inside = (rows >= start) & (rows < start + len(pool))
            images[inside] = pool[rows[inside] - start]
            start += len(pool)
        return images
