"""Accuracies and learned features of fitted machines."""

from collections.abc import Iterator

import numpy as np
import torch

from ansatz.features import saliency
from ansatz.files.learned import LearnedFeatures
from ansatz.machines.estimator import ImageClassifier


def scores(machine: ImageClassifier, x: np.ndarray, y: np.ndarray) -> Iterator[dict[str, float]]:
    """Yield the test accuracy of a fitted machine after each layer that predicts; the last has all layers."""
    stages = list(machine.staged_predict(x))
    for layers, labels in enumerate(stages, machine.feature_layers + 1 - len(stages)):
        yield {"layers": layers, "accuracy": float((labels == y).mean())}


def learned_features(machine: ImageClassifier, images: np.ndarray) -> LearnedFeatures:
    """Return the feature matrices of a fitted machine, and their saliency maps of images, (n, channels, ...)."""
    network, matrices = machine.features()
    x = torch.from_numpy(images).to(next(network.parameters()))
    of_images = [saliency.saliency(network, image, matrices) for image in x.split(1)]
    maps = {layer: torch.stack([each[layer] for each in of_images]).cpu().numpy() for layer in matrices}
    dense = {layer: matrix.dense()[0].cpu().numpy() for layer, matrix in matrices.items()}
    return LearnedFeatures(images, dense, {layer: matrix.shape for layer, matrix in matrices.items()}, maps)
