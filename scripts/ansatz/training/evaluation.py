"""Evaluate a network: its loss and metrics, averaged over images."""

from collections.abc import Sequence

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
    """Loss and metrics, averaged over the images of several batches.

    Sums stay on the device, so that only `compute` waits for it.

    Parameters
    ----------
    metrics : sequence of str
        Registered metrics besides accuracy.
    device : torch.device
    """

    def __init__(self, metrics: Sequence[str], device: torch.device) -> None:
        self.metrics = {name: find("metric", name).object for name in dict.fromkeys(["accuracy", *metrics])}
        self.sums = torch.zeros(1 + len(self.metrics), dtype=torch.float64, device=device)
        self.count = 0

    def add(self, loss_sum: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch: the sum of its images' losses (a scalar), logits (n, classes) and labels (n,)."""
        sums = [loss_sum]
        for name, function in self.metrics.items():
            values = function(logits, labels)  # (n,)
            if values.shape != labels.shape:
                shape, expected = tuple(values.shape), tuple(labels.shape)
                raise UserError(
                    f"metric {name}: returned shape {shape}; it must return one value per image, {expected}"
                )
            sums.append(values.sum(dtype=torch.float64))
        self.sums += torch.stack(sums)
        self.count += len(labels)

    def compute(self) -> dict[str, float]:
        """Return the averages: ``loss``, ``accuracy`` and the other metrics."""
        return dict(zip(["loss", *self.metrics], (self.sums / self.count).tolist(), strict=True))


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
