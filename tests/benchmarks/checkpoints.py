"""What checkpoints cost a training with short epochs: one after each epoch, against those that are due."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansatz.training.checkpoint import SHARE, Checkpoint
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from benchmarks.measure import Row, alone
from benchmarks.training import BATCH, prepared
from real_data import ROOT

EPOCHS, STEPS = 30, 4


class Counted(Checkpoint):
    """A checkpoint that counts what it writes."""

    seconds, written, saves = 0.0, 0, 0

    def save(self, state: Mapping[str, Any]) -> None:
        """Save, and count."""
        start = time.perf_counter()
        super().save(state)
        self.seconds += time.perf_counter() - start
        self.written += self.path.stat().st_size
        self.saves += 1


class EachEpoch(Counted):
    """One that is due after each epoch."""

    steps = 0

    @property
    def due(self) -> bool:
        """Whether a step, after which this is asked, was the last one of its epoch."""
        self.steps += 1
        return self.steps % STEPS == 0


def train(checkpoint: type[Counted]) -> tuple[float, float, int, int]:
    """Train VGG11; return the seconds that this took, those of saving, the bytes written and the number of saves."""
    network, parts = prepared(32, STEPS)
    config = TrainingConfig(epochs=EPOCHS, batch_size=BATCH)
    with tempfile.TemporaryDirectory(dir=ROOT / "results") as folder:  # on the disk on which checkpoints lie
        saved = checkpoint(Path(folder, "checkpoint.pt"), "")
        start = time.perf_counter()
        Trainer(network, parts, config, seed=0, checkpoint=saved).train()
        return time.perf_counter() - start, saved.seconds, saved.written, saved.saves


def rows() -> list[Row]:
    """Return the rows of the table."""
    what = f"train VGG11 at 32 px, {EPOCHS} epochs of {BATCH * STEPS} images"
    runs = [alone(train, way)[0] for way in (EachEpoch, Counted)]
    shares = [saving / seconds for seconds, saving, *_ in runs]
    bytes_written = [f"{written / 1e9:.1f} GB in {saves}" for *_, written, saves in runs]
    return [
        Row(what, *(f"{seconds:.0f} s" for seconds, *_ in runs), f"{runs[0][0] / runs[1][0]:.2f} x"),
        Row("its saves: time", *(f"{share:.1%}" for share in shares), "", f"≤ {SHARE:.0%}", shares[1] <= SHARE),
        Row("its saves: bytes, and how many", *bytes_written),
    ]
