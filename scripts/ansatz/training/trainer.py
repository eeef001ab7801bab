"""The training loop.

Everything random in an epoch (the order of the images, the dropout masks) is drawn from the seed and the epoch. So runs
with the same seed compare in pairs, and a resumed run gets the same numbers as an uninterrupted one.
"""

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ansatz.data.batches import Images
from ansatz.devices import compiles
from ansatz.errors import UserError
from ansatz.features.evolution import Snapshots
from ansatz.files.tables import PARTS
from ansatz.networks.evaluation import forward, memory_format
from ansatz.seeds import derive_seed
from ansatz.training.checkpoint import Checkpoint
from ansatz.training.config import TrainingConfig
from ansatz.training.evaluation import Averages, evaluate
from ansatz.training.optimizers import Optimizer
from ansatz.training.run import Epoch, Run

LOG = logging.getLogger(__name__)
LONG = 1e10  # pixels in all epochs, from which on a run on a GPU takes longer than compiling its network


class Trainer:
    """Trains a network in place.

    Parameters
    ----------
    network : nn.Module
        Initialized; maps images (n, channels, size, size) to logits (n, classes). It is moved to the images' device.
    images : mapping of str to Images
        ``train``; optionally ``train_eval`` and ``validation``, evaluated after each epoch, and ``test``.
    config : TrainingConfig
    seed : int
        Determines the order of the images and the dropout masks.
    checkpoint : Checkpoint, optional
        Saved after each epoch, and resumed from.
    snapshots : Snapshots, optional
        What to record of the network: before training, at steps in the first epoch, and after each epoch.
    compile_cache : path, optional
        Folder in which runs share compiled code.
    title : str
        Names the run in the log, the progress bar and error messages.

    Attributes
    ----------
    run : Run
        The results so far.

    Raises
    ------
    UserError
        If a snapshot is wanted at a step that an epoch does not have.

    Examples
    --------
    >>> trainer = Trainer(network, images, TrainingConfig(epochs=3), seed=0)
    >>> trainer.train().best["validation_accuracy"]
    >>> trainer.test("best")["accuracy"]
    """

    def __init__(
        self,
        network: nn.Module,
        images: Mapping[str, Images],
        config: TrainingConfig,
        *,
        seed: int,
        checkpoint: Checkpoint | None = None,
        snapshots: Snapshots | None = None,
        compile_cache: str | Path | None = None,
        title: str = "",
    ) -> None:
        self.network, self.images, self.config, self.seed = network, images, config, seed
        self.checkpoint, self.snapshots, self.compile_cache, self.title = checkpoint, snapshots, compile_cache, title
        self.device = images["train"].device
        self.steps_per_epoch = -(-len(images["train"]) // config.batch_size)
        if snapshots and (last := max(snapshots.steps, default=0)) > self.steps_per_epoch:
            raise UserError(f"{title}: steps: {last}, but an epoch has {self.steps_per_epoch} steps")
        cast(Any, network).to(device=self.device, memory_format=memory_format(network))  # torch 2.13 does not type this
        self.optimizer = Optimizer(network, config)
        self.run = Run()

    def train(self) -> Run:
        """Train from the checkpoint, if there is one, to the last epoch, or until a loss is not finite.

        Returns
        -------
        Run
        """
        compiled = self._compiled()
        self._resume()
        if not self.run.rows:
            self._take_snapshot(0)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            while len(self.run.rows) < self.config.epochs and not self.run.diverged:
                self._add_row(self._train_epoch(compiled, len(self.run.rows) + 1))
                self._save()
                LOG.info("%s: %s", self.title, _log_line(self.run.rows[-1], self.config.epochs))
        return self.run

    def test(self, epoch: Epoch = "best") -> dict[str, float]:
        """Evaluate an epoch's network on the test images; the network keeps the weights of that epoch.

        Returns
        -------
        dict of str to float
            Loss, accuracy and the other metrics; empty without a test part, or without a best epoch.
        """
        if epoch == "best":
            if not self.run.best_weights:
                return {}
            self.network.load_state_dict(self.run.best_weights)
        return evaluate(self.network, self.images["test"], self.config) if "test" in self.images else {}

    def summarize(self, epoch: Epoch) -> dict[str, Any]:
        """Test the network of an epoch, which is the result of the training, and summarize the run.

        Raises
        ------
        UserError
            If the result is that of the last epoch, and training diverged. The checkpoint is removed, so that a rerun
            starts over.
        """
        if epoch == "last" and self.run.diverged:
            if self.checkpoint:
                self.checkpoint.clear()
            raise UserError(f"{self.title}: diverged in epoch {len(self.run.rows)}; lower its learning_rate")
        return self.run.summary(epoch, self.test(epoch))

    def _train_epoch(self, compiled: nn.Module, epoch: int) -> dict[str, Any]:
        """Train for an epoch; `compiled` is the network for full batches."""
        images, config = self.images["train"], self.config
        self.network.train()
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        order = np.random.default_rng(derive_seed(self.seed, "order", epoch)).permutation(len(images))
        averages, learning_rate = Averages(config.metrics, self.device), config.learning_rate_of(epoch)
        start = time.perf_counter()
        with _progress_bar(len(images), f"{self.title} {epoch}/{config.epochs}") as advance:
            for step, (x, y) in enumerate(images.batches(config.batch_size, torch.from_numpy(order)), 1):
                network = compiled if len(y) == config.batch_size else self.network
                logits = forward(network, x, config.precision)  # (n, classes)
                loss = cross_entropy(logits, y)
                loss.backward()
                self.optimizer.step(learning_rate)
                averages.add(loss.detach() * len(y), logits.detach(), y)
                advance(len(y))
                if self.snapshots and epoch == 1 and step in self.snapshots.steps and step < self.steps_per_epoch:
                    self._take_snapshot(step)
                    self.network.train()
        means = averages.compute()
        seconds = time.perf_counter() - start
        return {
            "epoch": epoch,
            **{f"train_{name}": value for name, value in means.items()},
            "learning_rate": learning_rate,
            "images_per_second": len(images) / seconds,
            "seconds": seconds,
        }

    def _add_row(self, row: dict[str, Any]) -> None:
        """Evaluate the network after an epoch, and add all this to the results."""
        evaluation = self._evaluate()
        row |= evaluation
        finite = all(math.isfinite(row.get(f"{part}_loss", 0)) for part in PARTS)
        self.run.rows.append(row | {"status": "ok" if finite else "diverged"})
        if self.run.best is self.run.rows[-1]:
            self.run.best_weights = {name: value.cpu().clone() for name, value in self.network.state_dict().items()}
        if finite:
            self._take_snapshot(row["epoch"] * self.steps_per_epoch, evaluation)

    def _evaluate(self) -> dict[str, float]:
        """Return the loss and metrics of the parts on which each epoch is evaluated, as columns of a row."""
        columns: dict[str, float] = {}
        for part in PARTS:
            if part != "train" and part in self.images:
                means = evaluate(self.network, self.images[part], self.config)
                columns |= {f"{part}_{name}": value for name, value in means.items()}
        return columns

    def _take_snapshot(self, step: int, evaluation: dict[str, float] | None = None) -> None:
        """Take a snapshot, if any are wanted."""
        if self.snapshots:
            metrics = self._evaluate() if evaluation is None else evaluation
            epoch = step / self.steps_per_epoch
            self.run.snapshots.append(self.snapshots.take(self.network, epoch=epoch, step=step, metrics=metrics))

    def _save(self) -> None:
        if self.checkpoint:
            state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state, "run": vars(self.run)}
            self.checkpoint.save(state)

    def _resume(self) -> None:
        if self.checkpoint and (state := self.checkpoint.load()):
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state(state["optimizer"])
            self.run = Run(**state["run"])
            LOG.info("%s: resuming after epoch %d of %d", self.title, len(self.run.rows), self.config.epochs)

    def _compiled(self) -> nn.Module:
        """Return the network for full batches: compiled if the configuration asks for it or it pays off."""
        images = self.images["train"]
        long = self.config.epochs * len(images) * images.size**2 >= LONG
        if not compiles("training.compile", self.config.compile, self.device, long=long):
            return self.network
        LOG.info("compiling the network")
        if self.compile_cache:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(self.compile_cache).absolute())
        mode = "reduce-overhead" if self.device.type == "cuda" else None  # CUDA graphs: full batches have one shape
        return cast(nn.Module, torch.compile(self.network, dynamic=False, mode=mode))


@contextmanager
def _progress_bar(total: int, label: str) -> Iterator[Callable[[int], object]]:
    """Yield a function that advances a bar by so many images; there is a bar on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="img", leave=False) as bar:
        yield bar.update


def _log_line(row: Mapping[str, Any], epochs: int) -> str:
    if row["status"] == "diverged":
        return f"epoch {row['epoch']}/{epochs}: diverged (a loss is not finite), training ends"
    line = f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}"
    if "validation_loss" in row:
        line += f"; validation {row['validation_loss']:.4f}, {row['validation_accuracy']:.2%}"
    return f"{line}; {row['images_per_second']:.0f} images/s"
