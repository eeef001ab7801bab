"""One run: (network, dataset, seed) -> a row an epoch.

Everything random in an epoch is drawn from (seed, epoch): the order of the images and the dropout masks. So runs of
one seed compare in pairs, and a run that goes on from a checkpoint meets the numbers it would have met.
"""

import hashlib
import json
import logging
import math
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ansatz import store
from ansatz.batches import Images
from ansatz.devices import compiles
from ansatz.errors import UserError
from ansatz.networks import activation_bytes, forward, weights_fingerprint
from ansatz.optimizers import OPTIMIZERS, Optimizer
from ansatz.seeds import stream

LOG = logging.getLogger(__name__)
LONG = 1e10  # pixels over all epochs: a run of so many takes minutes on a GPU, longer than compiling its network


@dataclass(frozen=True)
class Protocol:
    """How a network is trained on cross-entropy.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : str
        One of `ansatz.optimizers.OPTIMIZERS`.
    learning_rate : float
        At the start; multiplied by `gamma` after each epoch of `milestones`.
    momentum, weight_decay, epsilon : float
        As `ansatz.optimizers.Optimizer` has them.
    milestones : sequence of int
    gamma : float
    precision : str
        One of `ansatz.devices.PRECISIONS`: what passes compute in (autocast); parameters stay float32.
    compile : bool or str
        Whether training steps run compiled: ``auto`` is yes on a GPU, in runs long enough to pay for it. Compiled
        networks draw other dropout masks, of the same distribution.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "sgd"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epsilon: float | None = None
    milestones: Sequence[int] = ()
    gamma: float = 0.1
    precision: str = "float32"
    compile: bool | str = "auto"

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch; the first is 1."""
        return self.learning_rate * self.gamma ** sum(milestone < epoch for milestone in self.milestones)

    def optimize(self, network: nn.Module) -> Optimizer:
        """Return the optimizer of a network."""
        constants: dict[str, Any] = {
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "epsilon": self.epsilon,
        }
        return OPTIMIZERS[self.optimizer](network, **constants)


@dataclass
class Run:
    """What a run has so far, which is what its checkpoint holds beside the parameters.

    Attributes
    ----------
    rows : list of dict
        A row an epoch: the columns `ansatz.store.METRICS` of the parts that the dataset was given with.
    best_weights : dict
        The state dict at the best validation epoch (the first of them), on the CPU.
    records : list of dict
        What a `Watch` saw, in order, each with its ``epoch`` (in parts, inside of the first), its ``step``, and the
        losses and accuracies of ``train_eval`` and ``validation`` then.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's loss was not finite."""
        return bool(self.rows) and self.rows[-1]["status"] == "diverged"

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best validation accuracy, the first of them; None before there is one."""
        rows = [row for row in self.rows if row["status"] == "ok" and "validation_accuracy" in row]
        return max(rows, key=lambda row: row["validation_accuracy"], default=None)

    def refuse_diverged(self, title: str, checkpoint: "Checkpoint") -> None:
        """Raise a `UserError` if the run diverged, for those that others wait for; a rerun starts afresh."""
        if self.diverged:
            checkpoint.clear()
            raise UserError(f"{title}: diverged in epoch {len(self.rows)}; lower its learning_rate")

    def summary(self, test_accuracy: float | None) -> dict[str, Any]:
        """Return the outcome: of `ansatz.store.OUTCOME`, what is known here."""
        best = self.best or {}
        return {
            "status": "diverged" if self.diverged else "finished",
            "epochs": len(self.rows),
            "best_epoch": best.get("epoch"),
            "best_validation_accuracy": best.get("validation_accuracy"),
            "test_accuracy": test_accuracy,
            "seconds": sum(row["seconds"] for row in self.rows),
        }


@dataclass(frozen=True)
class Watch:
    """Who looks at a network on its way, and when: before the first epoch, at steps of it, and after each epoch.

    Attributes
    ----------
    observe : callable
        Network -> a dictionary of plain types and of tensors on the CPU; leaves the network as it is, and draws nothing
        from the global generator.
    steps : sequence of int
        Inside of the first epoch.
    """

    observe: Callable[[nn.Module], dict[str, Any]]
    steps: Sequence[int] = ()


@dataclass(frozen=True)
class Checkpoint:
    """Where a run keeps itself, and for whom.

    Attributes
    ----------
    path : Path
    key : str
        A hash of all that the run depends on: a checkpoint with another key is not resumed.
    """

    path: Path
    key: str

    @classmethod
    def of(cls, path: str | Path, network: nn.Module, *values: Any, code: Sequence[str | Path] = ()) -> "Checkpoint":
        """Key a checkpoint by the initialized network, plain values (parameters, data) and files (the code)."""
        depends = [*values, torch.__version__, weights_fingerprint(network)]
        digest = hashlib.sha256(json.dumps(depends, default=str).encode())
        for file in code:
            digest.update(Path(file).read_bytes())
        return cls(Path(path), digest.hexdigest())

    def save(self, state: Mapping[str, Any]) -> None:
        """Write atomically, so that a kill at any moment leaves this checkpoint or the one before."""
        with store.atomic(self.path) as temporary:
            torch.save({"key": self.key, **state}, temporary)

    def load(self) -> dict[str, Any] | None:
        """Return the state, or None, with a line in the log, where there is none to go on from."""
        if not self.path.exists():
            return None
        try:
            if damaged := zipfile.ZipFile(self.path).testzip():  # a checksum each, which torch does not look at
                raise ValueError(f"{damaged} is damaged")
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            known = state["key"] == self.key
        except Exception as error:  # whatever is wrong with it, the run can start afresh
            LOG.info("checkpoint %s cannot be read (%s): starting afresh", self.path, type(error).__name__)
            return None
        if not known:
            LOG.info("checkpoint %s is of other parameters, data or code: starting afresh", self.path)
            return None
        return state

    def clear(self) -> None:
        """Remove it: the run is done."""
        self.path.unlink(missing_ok=True)


def train(
    network: nn.Module,
    images: Mapping[str, Images],
    protocol: Protocol,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    compiled: str | Path | None = None,
    watch: Watch | None = None,
    title: str = "",
) -> Run:
    """Train a network in place, on the device of the images.

    Parameters
    ----------
    network : nn.Module
        Initialized; images (n, channels, size, size) -> logits (n, classes).
    images : mapping of str to Images
        ``train``, and of ``train_eval`` and ``validation`` what each epoch is to be evaluated on.
    protocol : Protocol
    seed : int
        Of orders and dropout masks.
    checkpoint : Checkpoint, optional
        Saved each epoch, and gone on from.
    compiled : path, optional
        The folder in which runs share what PyTorch's compiler made.
    watch : Watch, optional
        What it sees becomes the run's records.
    title : str
        What the log and the progress bar call the run.

    Returns
    -------
    Run
        Of `protocol.epochs` rows, or fewer where a loss was not finite: the last one says so then.
    """
    device = images["train"].device
    cast(Any, network).to(device=device, memory_format=torch.channels_last)  # torch 2.13 does not type this call
    optimizer = protocol.optimize(network)
    step = _compiled(network, images["train"], protocol, compiled)
    run = Run()
    if checkpoint and (state := checkpoint.load()):
        network.load_state_dict(state["network"])
        optimizer.load(state["optimizer"])
        run = Run(**state["run"])
        LOG.info("%s: going on after epoch %d of %d", title, len(run.rows), protocol.epochs)
    steps_an_epoch = -(-len(images["train"]) // protocol.batch_size)

    if watch and max(watch.steps, default=0) > steps_an_epoch:
        raise UserError(f"{title}: steps: {max(watch.steps)}, but an epoch has {steps_an_epoch}")

    def evaluated() -> dict[str, float]:
        found: dict[str, float] = {}
        for part in [name for name in ("train_eval", "validation") if name in images]:
            found[f"{part}_loss"], found[f"{part}_accuracy"] = evaluate(network, images[part], protocol)
        return found

    def record(steps: int, evaluation: dict[str, float]) -> None:
        if watch:
            moment = {"epoch": steps / steps_an_epoch, "step": steps}
            run.records.append({**moment, **evaluation, **watch.observe(network)})

    def passed(step: int) -> None:
        if watch and not run.rows and step in watch.steps and step < steps_an_epoch:
            record(step, evaluated())
            network.train()

    if watch and not run.rows:
        record(0, evaluated())
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        while len(run.rows) < protocol.epochs and not run.diverged:
            epoch = len(run.rows) + 1
            row = _epoch(network, step, optimizer, images["train"], protocol, seed, epoch, title, passed)
            evaluation = evaluated()
            row |= evaluation
            finite = all(math.isfinite(value) for name, value in row.items() if name.endswith("_loss"))
            run.rows.append(row | {"status": "ok" if finite else "diverged"})
            if run.best is run.rows[-1]:
                run.best_weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}
            if finite:
                record(epoch * steps_an_epoch, evaluation)
            if checkpoint:
                state = {"network": network.state_dict(), "optimizer": optimizer.state, "run": vars(run)}
                checkpoint.save(state)
            LOG.info("%s: %s", title, _line(run.rows[-1], protocol.epochs))  # now it is not lost any more
    return run


def evaluate_best(network: nn.Module, run: Run, images: Mapping[str, Images], protocol: Protocol) -> float | None:
    """Return the test accuracy at the best validation epoch; None without a test part, or without such an epoch."""
    if "test" not in images or not run.best_weights:
        return None
    network.load_state_dict(run.best_weights)
    return evaluate(network, images["test"], protocol)[1]


def evaluate(network: nn.Module, images: Images, protocol: Protocol) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy in evaluation mode, in batches as large as the images' memory allows."""
    network.eval()
    one, _ = next(images.batches(1))
    size = max(protocol.batch_size, images.memory // activation_bytes(network, one, protocol.precision))
    totals = torch.zeros(2, dtype=torch.float64, device=images.device)  # (loss, correct)
    with torch.inference_mode():
        for x, y in images.batches(size):
            logits = forward(network, x, protocol.precision)  # (n, classes)
            totals += torch.stack([cross_entropy(logits, y, reduction="sum"), (logits.argmax(1) == y).sum()])
    loss, accuracy = (totals / len(images)).tolist()
    return loss, accuracy


def _compiled(network: nn.Module, images: Images, protocol: Protocol, cache: str | Path | None) -> nn.Module:
    """Return what takes full batches: the network, compiled where that is asked for or pays."""
    pixels = protocol.epochs * len(images) * images.size**2
    if not compiles("training.compile", protocol.compile, images.device, long=pixels >= LONG):
        return network
    LOG.info("compiling the network")
    if cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(cache).absolute())
    mode = "reduce-overhead" if images.device.type == "cuda" else None  # CUDA graphs: full batches are of one shape
    return cast(nn.Module, torch.compile(network, dynamic=False, mode=mode))


def _epoch(
    network: nn.Module,
    step: nn.Module,
    optimizer: Optimizer,
    images: Images,
    protocol: Protocol,
    seed: int,
    epoch: int,
    title: str,
    passed: Callable[[int], None],
) -> dict[str, Any]:
    network.train()
    torch.manual_seed(stream(seed, "dropout", epoch))
    order = torch.from_numpy(np.random.default_rng(stream(seed, "order", epoch)).permutation(len(images)))
    totals = torch.zeros(2, dtype=torch.float64, device=images.device)  # (loss, correct): read at the epoch's end
    start, rate = time.perf_counter(), protocol.rate(epoch)
    label = f"{title} {epoch}/{protocol.epochs}"
    with _progress(len(images), label) as progressed:
        for number, (x, y) in enumerate(images.batches(protocol.batch_size, order), 1):
            full = len(y) == protocol.batch_size
            logits = forward(step if full else network, x, protocol.precision)  # (n, classes)
            loss = cross_entropy(logits, y)
            loss.backward()
            optimizer.step(rate)
            totals += torch.stack([loss.detach() * len(y), (logits.detach().argmax(1) == y).sum()])
            progressed(len(y))
            passed(number)
    mean_loss, accuracy = (totals / len(images)).tolist()
    seconds = time.perf_counter() - start
    return {
        "epoch": epoch,
        "train_loss": mean_loss,
        "train_accuracy": accuracy,
        "learning_rate": rate,
        "images_per_second": len(images) / seconds,
        "seconds": seconds,
    }


@contextmanager
def _progress(total: int, label: str) -> Iterator[Callable[[int], object]]:
    """Give what counts images on a bar with images a second, on a terminal; a log gets its line at the epoch's end."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="img", leave=False) as bar:
        yield bar.update


def _line(row: Mapping[str, Any], epochs: int) -> str:
    if row["status"] == "diverged":
        return f"epoch {row['epoch']}/{epochs}: a loss is not finite: diverged, ended here"
    found = f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}"
    if "validation_loss" in row:
        found += f"; validation {row['validation_loss']:.4f}, {row['validation_accuracy']:.2%}"
    return f"{found}; {row['images_per_second']:.0f} images/s"
