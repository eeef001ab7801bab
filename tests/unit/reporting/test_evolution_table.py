"""The table of a training and the evolution of its features."""

import numpy as np
import pandas as pd
import pytest

from ansatz.files.evolution import Evolution, LayerEvolution
from ansatz.reporting.evolution import PAIRS, by_epoch, to_markdown


def test_accuracies_and_correlations_are_combined_with_published_ones():
    correlations = {pair: np.array([0.1, 0.5, 0.7, 1.0]) for pair in PAIRS}
    layer = LayerEvolution(np.zeros(4), np.zeros(4), np.zeros(4), correlations)
    curves = {"epoch": np.array([0, 0.5, 1, 2]), "step": np.array([0, 2, 4, 8])}
    curves |= {f"{part}_accuracy": np.array([0.1, 0.2, 0.3, 0.4]) for part in ("train_eval", "validation")}
    metrics = pd.DataFrame({"epoch": [1, 2], "train_accuracy": [0.25, 0.35]})
    published = pd.DataFrame({"epoch": [2], "train_accuracy": [61.2], "validation_accuracy": [82.6]})
    evolution = Evolution(curves, {"x": layer, "y": layer}, np.zeros((1, 2, 2), np.uint8))
    table = by_epoch(metrics, evolution, published)
    assert table.epoch.tolist() == [0, 1, 2]
    assert table.nfm_final_nfm.tolist() == [0.1, 0.7, 1.0]
    assert table.train_accuracy.tolist() == pytest.approx([np.nan, 0.25, 0.35], nan_ok=True)
    assert table.published_validation.tolist() == pytest.approx([np.nan, np.nan, 0.826], nan_ok=True)
    assert "| 2       | 35.00   | 61.20               | 40.00        | 82.60" in to_markdown(table)
