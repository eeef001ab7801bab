"""The results of a training."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from ansatz.features.evolution import Snapshot

Epoch = Literal["best", "last"]


@dataclass
class Run:
    """The results of a training so far; its checkpoint holds them besides the network and the optimizer.

    Attributes
    ----------
    rows : list of dict
        One row per epoch, as in ``metrics.csv``.
    best_weights : dict of str to Tensor
        State dict of the first epoch with the highest validation accuracy, on the CPU.
    snapshots : list of Snapshot
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)

    @property
    def diverged(self) -> bool:
        """Whether a loss of the last epoch was not finite."""
        return bool(self.rows) and self.rows[-1]["status"] == "diverged"

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the first epoch with the highest validation accuracy; None if there is none."""
        rows = [row for row in self.rows if row["status"] == "ok" and "validation_accuracy" in row]
        return max(rows, key=lambda row: row["validation_accuracy"], default=None)

    def stalled(self, patience: int | None) -> bool:
        """Whether `patience` epochs have passed without a better validation accuracy; with None, never."""
        best = self.best
        return patience is not None and best is not None and len(self.rows) - best["epoch"] >= patience

    def summary(self, epoch: Epoch, test: dict[str, float]) -> dict[str, Any]:
        """Summarize the run for ``summary.json``.

        Parameters
        ----------
        epoch : {"best", "last"}
            The epoch whose network is the result.
        test : dict of str to float
            Its loss and metrics on the test images; empty if it was not tested.
        """
        best = self.best or {}
        result = best if epoch == "best" else self.rows[-1]
        return {
            "status": "diverged" if self.diverged else "finished",
            "epochs": len(self.rows),
            "best_epoch": best.get("epoch"),
            "best_validation_accuracy": best.get("validation_accuracy"),
            "validation_accuracy": result.get("validation_accuracy"),
            "test_accuracy": None,
            **{f"test_{name}": value for name, value in test.items()},
            "seconds": sum(row["seconds"] for row in self.rows),
        }
