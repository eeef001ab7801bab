"""Evaluate a network: its loss and metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ansatz.data.batches import Images
from ansatz.errors import UserError
from ansatz.networks.evaluation import activation_bytes, forward
from ansatz.registry import find, metric
from ansatz.training.config import TrainingConfig


@metric
def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether the largest logit is the label's; computed in every training."""
    return logits.argmax(1) == labels


class Averages:
    """Loss and metrics of the images of several batches.

    Sums stay on the device, so that only `compute` waits for it.

    Parameters
    ----------
    metrics : sequence of str
        Registered metrics besides accuracy.
    device : torch.device
    """

    def __init__(self, metrics: Sequence[str], device: torch.device) -> None:
        found = {name: find("metric", name) for name in dict.fromkeys(["accuracy", *metrics])}
        self.of_images, self.of_confusion = (
            {name: metric.object for name, metric in found.items() if metric.declared["of"] == of}
            for of in ("images", "confusion")
        )
        self.sums = torch.zeros(1 + len(self.of_images), dtype=torch.float64, device=device)
        self.confusion = torch.zeros((), dtype=torch.float64, device=device)  # (classes, classes), after a batch
        self.count = 0

    def add(self, loss_sum: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch: the sum of its images' losses (a scalar), logits (n, classes) and labels (n,)."""
        sums = [loss_sum]
        for name, function in self.of_images.items():
            values = function(logits, labels)  # (n,)
            if values.shape != labels.shape:
                shape, expected = tuple(values.shape), tuple(labels.shape)
                raise UserError(
                    f"metric {name}: returned shape {shape}; it must return one value per image, {expected}"
                )
            sums.append(values.sum(dtype=torch.float64))
        self.sums += torch.stack(sums)
        if self.of_confusion:
            one_hot = torch.eye(logits.shape[1], dtype=torch.float64, device=logits.device)  # (classes, classes)
            self.confusion = self.confusion + one_hot[labels].mT @ one_hot[logits.argmax(1)]
        self.count += len(labels)

    def compute(self) -> dict[str, float]:
        """Return ``loss``, ``accuracy`` and the other metrics."""
        values = dict(zip(["loss", *self.of_images], (self.sums / self.count).tolist(), strict=True))
        for name, function in self.of_confusion.items():
            value = function(self.confusion)
            if value.numel() != 1:
                raise UserError(f"metric {name}: returned shape {tuple(value.shape)}; it must return one value")
            values[name] = value.item()
        return values

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of batches so far."""
        return {"sums": self.sums, "confusion": self.confusion, "count": self.count}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from the state in a checkpoint."""
        self.sums, self.confusion = (state[name].to(self.sums.device) for name in ("sums", "confusion"))
        self.count = state["count"]


def untrained(network: nn.Module, images: Images, classes: int, sample_size: int) -> str | None:
    """Say in words that a network does not classify as a trained one would; None if it does, or has other classes.

    Parameters
    ----------
    network : nn.Module
        On the images' device.
    images : Images
    classes : int
        Of the images. A network with another number of logits knows other classes, and cannot be judged.
    sample_size : int
        Number of images that are classified.

    Returns
    -------
    str or None
        If chance alone is as accurate once in a thousand times or more often (binomial test).
    """
    network.eval()
    image, _ = next(images.batches(1))
    size, chosen = max(1, images.memory // activation_bytes(network, image)), images.sample(sample_size, seed=0)
    with torch.inference_mode():
        if forward(network, image).shape[1] != classes:
            return None
        hits = sum(int((forward(network, x).argmax(1) == y).sum()) for x, y in images.batches(size, chosen))
    from scipy.stats import binomtest  # takes long to import, and trainings do without

    if binomtest(hits, len(chosen), 1 / classes, alternative="greater").pvalue < 1e-3:
        return None
    return (
        f"accuracy {hits / len(chosen):.1%} on {len(chosen)} training images, no more than chance gives; do its "
        "classes, their order and the normalisation of images fit the dataset?"
    )


def evaluate(network: nn.Module, images: Images, config: TrainingConfig) -> dict[str, float]:
    """Evaluate a network in evaluation mode.

    Parameters
    ----------
    network : nn.Module
        On the images' device.
    images : Images
        Evaluated in batches as large as their memory allows.
    config : TrainingConfig
        Its precision and metrics are used.

    Returns
    -------
    dict of str to float
        ``loss`` (mean cross-entropy), ``accuracy`` and the other metrics.
    """
    network.eval()
    image, _ = next(images.batches(1))
    size = max(config.batch_size, images.memory // activation_bytes(network, image, config.precision))
    averages = Averages(config.metrics, images.device)
    with torch.inference_mode():
        for x, y in images.batches(size):
            logits = forward(network, x, config.precision)  # (n, classes)
            averages.add(cross_entropy(logits, y, reduction="sum"), logits, y)
    return averages.compute()
