"""Metrics that a training can compute in each epoch besides loss and accuracy.

A metric maps logits (n, classes) and labels (n,), both on the device, to one value per image; an epoch reports the mean
over its images. It is computed in every step, and should not wait for the device (no ``.item()``). A metric of the
confusion matrix is computed once an epoch.
"""

import torch

from ansatz.registry import metric


@metric
def top5_accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether the label is among the five largest logits, or among all of them if there are fewer."""
    largest = logits.topk(min(5, logits.shape[1]), dim=1).indices  # (n, 5)
    return (largest == labels.unsqueeze(1)).any(1)


@metric
def confidence(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The probability of the predicted class; larger than the accuracy where a network is overconfident."""
    return logits.softmax(1).amax(1)


@metric(of="confusion")
def balanced_accuracy(confusion: torch.Tensor) -> torch.Tensor:
    """The mean over classes of the accuracy on the images of each class; for classes of different sizes."""
    return (confusion.diagonal() / confusion.sum(1)).nanmean()  # without classes of no image
