"""Checkpoints, from which an interrupted training resumes."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ansatz.files.atomic import atomic, partial_of
from ansatz.networks.weights import load_verified, weights_fingerprint

LOG = logging.getLogger(__name__)
SHARE = 0.02  # of a training's time that saving its checkpoints may take
SPEED = 2e8  # bytes per second that a disk is expected to write, until a save has been timed


@dataclass
class Checkpoint:
    """The file from which a training resumes, what it must match, and when it is due.

    Attributes
    ----------
    path : Path
    key : str
        Hash of everything that the training depends on: a checkpoint with a different key is not resumed.
    """

    path: Path
    key: str

    def __post_init__(self) -> None:
        self.expect(0)

    @classmethod
    def of(cls, path: str | Path, network: nn.Module, *values: Any, code: Sequence[str | Path] = ()) -> "Checkpoint":
        """Return the checkpoint of a training.

        Parameters
        ----------
        path : path
        network : nn.Module
            As initialized.
        *values
            Plain values that the training depends on, such as its parameters and the dataset's fingerprint.
        code : sequence of path
            The files of code that it depends on.
        """
        dependencies = [*values, torch.__version__, weights_fingerprint(network)]
        digest = hashlib.sha256(json.dumps(dependencies, default=str).encode())
        for file in code:
            digest.update(Path(file).read_bytes())
        return cls(Path(path), digest.hexdigest())

    def expect(self, size: int) -> None:
        """Start to count the time that saving may take; the first save will write about `size` bytes."""
        self._start, self._spent, self._cost = time.perf_counter(), 0.0, size / SPEED  # seconds; of all and of one save

    @property
    def due(self) -> bool:
        """Whether one more save, if it takes as long as the last one, keeps all of them within `SHARE` of the time."""
        return SHARE * (time.perf_counter() - self._start) >= self._spent + self._cost

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state atomically: whenever the job is killed, this checkpoint or the previous one is left."""
        start = time.perf_counter()
        with atomic(self.path) as temporary:
            torch.save({"key": self.key, **state}, temporary)
        self._cost = time.perf_counter() - start
        self._spent += self._cost

    def load(self) -> dict[str, Any] | None:
        """Return the state, or None if there is none to resume from; the log says why."""
        if not self.path.exists():
            return None
        try:
            state = load_verified(self.path)
            matches = state["key"] == self.key
        except Exception as error:  # whatever is wrong with the file, the training can start over
            LOG.info("checkpoint %s cannot be read (%s): starting over", self.path, type(error).__name__)
            return None
        if not matches:
            LOG.info("checkpoint %s is of other parameters, data or code: starting over", self.path)
            return None
        return state

    def clear(self) -> None:
        """Remove the file, after the training is complete, and what a kill has left of a save."""
        for path in (self.path, partial_of(self.path)):
            path.unlink(missing_ok=True)
