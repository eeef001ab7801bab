"""The training loop.

Everything random in an epoch (the order of the images, their augmentation, the dropout masks) is drawn from the seed
and the epoch. So runs with the same seed compare in pairs, and a resumed run gets the same numbers as an uninterrupted
one.
"""

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
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
from ansatz.interruption import uninterrupted
from ansatz.networks.evaluation import forward, memory_format
from ansatz.seeds import derive_seed
from ansatz.training.augmentation import augmented_batches
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
        Determines the order of the images, their augmentation and the dropout masks.
    checkpoint : Checkpoint, optional
        Resumed from; saved when it is due, and when the training is interrupted.
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
        If a snapshot is wanted at a step that an epoch does not have, images may be shifted out of sight, or the
        validation images that stop a training early are missing.

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
        if (crop := config.augment.crop) >= (side := images["train"].size):
            raise UserError(f"{title}: augment.crop: {crop}, but images have {side} px; it must be below {side}")
        if config.early_stopping and "validation" not in images:
            raise UserError(f"{title}: early_stopping: {config.early_stopping}, but there are no validation images")
        cast(Any, network).to(device=self.device, memory_format=memory_format(network))  # torch 2.13 does not type this
        self.optimizer = Optimizer(network, config)
        self.run = Run()
        self.averages, self.seconds = Averages(config.metrics, self.device), 0.0  # of the epoch in progress

    def train(self, epochs: int | None = None) -> Run:
        """Train from the checkpoint, if there is one, to the last epoch, or until it stops early or diverges.

        A KeyboardInterrupt, which `ansatz.job.job` raises on SIGTERM too, is raised between two steps, after a
        checkpoint was saved.

        Parameters
        ----------
        epochs : int, optional
            Where to stop a training before the last epoch of its configuration, which its schedule still leads to.

        Returns
        -------
        Run
        """
        compiled = self._compiled()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            self._resume()
            try:
                while len(self.run.rows) < (epochs or self.config.epochs) and not self._ended:
                    self._train_epoch(compiled)
                    self._finish_epoch()
            except KeyboardInterrupt:
                self._save()
                raise
        return self.run

    def test(self, epoch: Epoch = "best") -> dict[str, float]:
        """Evaluate an epoch's network on the test images; the network keeps the weights of that epoch.

        Returns
        -------
        dict of str to float
            Loss, accuracy and the other metrics; empty without a test part, or without a best epoch.
        """
        if epoch == "best" and not self.run.best_weights:
            return {}
        network = self.network_of(epoch)
        return evaluate(network, self.images["test"], self.config) if "test" in self.images else {}

    def network_of(self, epoch: Epoch) -> nn.Module:
        """Return the network with the weights of an epoch: of the last only before it was asked for that of the best.

        Without a best epoch, as where training diverged at once, it is as it is.
        """
        if epoch == "best" and self.run.best_weights:
            self.network.load_state_dict(self.run.best_weights)
        return self.network

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
        try:
            return self.run.summary(epoch, self.test(epoch))
        except KeyboardInterrupt:
            self._save()
            raise

    @property
    def _ended(self) -> bool:
        """Whether the training ends before its last epoch."""
        return self.run.diverged or self.run.stalled(self.config.early_stopping)

    @property
    def _step(self) -> int:
        """The steps so far, from the start of the training."""
        return len(self.run.rows) * self.steps_per_epoch + -(-self.averages.count // self.config.batch_size)

    def _learning_rate(self, step: int) -> float:
        return self.config.learning_rate_at(step, self.steps_per_epoch)

    def _train_epoch(self, compiled: nn.Module) -> None:
        """Train to the end of the epoch, from where it was interrupted; `compiled` is the network for full batches."""
        images, config, epoch = self.images["train"], self.config, len(self.run.rows) + 1
        done, start = self.averages.count, time.perf_counter() - self.seconds
        if not done:
            torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        order = np.random.default_rng(derive_seed(self.seed, "order", epoch)).permutation(len(images))[done:]
        moves = derive_seed(self.seed, "augmentation", epoch)
        self.network.train()
        with _progress_bar(len(images), done, f"{self.title} {epoch}/{config.epochs}") as advance:
            for x, y in augmented_batches(images, torch.from_numpy(order), config, seed=moves):
                if self.snapshots and self._step in (0, *self.snapshots.steps):
                    self._take_snapshot()
                    self.network.train()
                with uninterrupted():
                    self._train_step(compiled if len(y) == config.batch_size else self.network, x, y)
                    self.seconds = time.perf_counter() - start
                advance(len(y))
                if self.checkpoint and self.checkpoint.due:
                    self._save()
        self.averages.compute()  # waits for the device
        self.seconds = time.perf_counter() - start

    def _train_step(self, network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        try:
            logits = forward(network, x, self.config.precision)  # (n, classes)
        except ValueError as error:
            if len(y) > 1 or "value per channel" not in str(error):
                raise
            size = f"batch_size: {self.config.batch_size}"
            raise UserError(f"{self.title}: {size} leaves a last image alone, too little for a batch norm") from error
        cross_entropy(logits, y, label_smoothing=self.config.label_smoothing).backward()
        self.optimizer.step(self._learning_rate(self._step))
        logits = logits.detach()
        self.averages.add(cross_entropy(logits, y) * len(y), logits, y)

    def _finish_epoch(self) -> None:
        """Evaluate the network after an epoch, and add all this to the results."""
        epoch, evaluation = len(self.run.rows) + 1, self._evaluate()
        row: dict[str, Any] = {
            "epoch": epoch,
            **{f"train_{name}": value for name, value in self.averages.compute().items()},
            "learning_rate": self._learning_rate(self._step - 1),  # of its last step
            "images_per_second": self.averages.count / self.seconds,
            "seconds": self.seconds,
            **evaluation,
        }
        finite = all(math.isfinite(row.get(f"{part}_loss", 0)) for part in PARTS)
        row["status"] = "ok" if finite else "diverged"
        if finite:
            self._take_snapshot(evaluation)
        with uninterrupted():
            self.run.rows.append(row)
            if self.run.best is row:
                weights = self.network.state_dict()
                self.run.best_weights = {name: value.cpu().clone() for name, value in weights.items()}
            self.averages, self.seconds = Averages(self.config.metrics, self.device), 0.0
        LOG.info("%s: %s", self.title, _log_line(row, self.config.epochs))
        if self.run.stalled(patience := self.config.early_stopping) and epoch < self.config.epochs:
            LOG.info("%s: no better validation accuracy in %d epochs, training ends", self.title, patience)

    def _evaluate(self) -> dict[str, float]:
        """Return the loss and metrics of the parts on which each epoch is evaluated, as columns of a row."""
        columns: dict[str, float] = {}
        for part in PARTS:
            if part != "train" and part in self.images:
                means = evaluate(self.network, self.images[part], self.config)
                columns |= {f"{part}_{name}": value for name, value in means.items()}
        return columns

    def _take_snapshot(self, evaluation: dict[str, float] | None = None) -> None:
        """Take a snapshot, if any are wanted, unless an interrupted training has taken it."""
        step, taken = self._step, self.run.snapshots
        if self.snapshots and not (taken and taken[-1]["step"] == step):
            metrics = self._evaluate() if evaluation is None else evaluation
            epoch = step / self.steps_per_epoch
            taken.append(self.snapshots.take(self.network, epoch=epoch, step=step, metrics=metrics))

    def _save(self) -> None:
        if self.checkpoint:
            self.checkpoint.save(
                {
                    "network": self.network.state_dict(),
                    "optimizer": self.optimizer.state,
                    "run": vars(self.run),
                    "epoch": {**self.averages.state, "seconds": self.seconds},
                    "generators": [generator.get_state() for generator in self._generators],
                }
            )

    def _resume(self) -> None:
        if self.checkpoint is None:
            return
        if state := self.checkpoint.load():
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state(state["optimizer"])
            self.run, epoch = Run(**state["run"]), state["epoch"]
            self.averages.load_state(epoch)
            self.seconds = epoch["seconds"]
            for generator, saved in zip(self._generators, state["generators"], strict=True):
                generator.set_state(saved)
            epochs, images = len(self.run.rows), self.averages.count
            where = f"after image {images} of epoch {epochs + 1}" if images else f"after epoch {epochs}"
            LOG.info("%s: resuming %s of %d", self.title, where, self.config.epochs)
        weights = list(self.network.state_dict().values())
        tensors = [*weights, *weights, *chain(*self.optimizer.state.values())]  # the best weights are saved as well
        self.checkpoint.expect(sum(tensor.nbytes for tensor in tensors))

    @property
    def _generators(self) -> list[torch.Generator]:
        """The generators that dropout masks are drawn from."""
        if self.device.type == "cpu":
            return [torch.default_generator]
        index = torch.cuda.current_device() if self.device.index is None else self.device.index
        return [torch.default_generator, torch.cuda.default_generators[index]]

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
def _progress_bar(total: int, done: int, label: str) -> Iterator[Callable[[int], object]]:
    """Yield a function that advances a bar by so many images; there is a bar on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=done, desc=label, unit="img", leave=False) as bar:
        yield bar.update


def _log_line(row: Mapping[str, Any], epochs: int) -> str:
    if row["status"] == "diverged":
        return f"epoch {row['epoch']}/{epochs}: diverged (a loss is not finite), training ends"
    line = f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}"
    if "validation_loss" in row:
        line += f"; validation {row['validation_loss']:.4f}, {row['validation_accuracy']:.2%}"
    return f"{line}; {row['images_per_second']:.0f} images/s"
