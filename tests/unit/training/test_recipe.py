"""What a training's configuration changes: losses, learning rates, and when it ends."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ansatz.errors import UserError
from ansatz.training.config import TrainingConfig
from ansatz.training.evaluation import evaluate
from ansatz.training.trainer import Trainer
from made_images import made_images, made_network

CONFIG = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.05)
STALLING = replace(CONFIG, epochs=30, learning_rate=0.1)


@pytest.fixture(scope="module")
def images():
    """Images of which an epoch has 7 batches."""
    return made_images(train=50, validation=20, test=20)


def test_smoothed_labels_are_learnt_and_losses_are_reported_without_smoothing(images):
    """Of one step: the gradient is that of the cross-entropy with the smoothed labels, in float64."""
    ours, plain = made_network(), made_network().double()
    ours[3] = plain[3] = nn.Identity()
    config = replace(CONFIG, epochs=1, batch_size=50, label_smoothing=0.3, momentum=0.0, weight_decay=0.0)
    row = Trainer(ours, images, config, seed=0).train().rows[0]
    x, y = next(images["train"].batches(50))
    logs = plain(x.double()).log_softmax(1)  # (50, 3)
    labels = torch.full((50, 3), 0.3 / 3, dtype=torch.float64).scatter_(1, y.unsqueeze(1), 0.7 + 0.3 / 3)
    (labels * logs).sum(1).mean().backward()
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.double(), b + 0.05 * b.grad, rtol=0, atol=1e-6)
    assert row["train_loss"] == pytest.approx(-logs.gather(1, y.unsqueeze(1)).mean().item(), abs=1e-6)
    assert row["validation_loss"] == evaluate(ours, images["validation"], CONFIG)["loss"]


@pytest.mark.parametrize("largest", [0.1, 1e9])
def test_gradients_are_scaled_down_to_the_largest_norm(images, largest):
    """Of one step of SGD, in float64: all parameters together; smaller gradients stay as they are."""
    ours, plain = made_network(), made_network().double()
    ours[3] = plain[3] = nn.Identity()
    config = replace(CONFIG, epochs=1, batch_size=50, momentum=0.0, weight_decay=0.0, gradient_clipping=largest)
    Trainer(ours, images, config, seed=0).train()
    x, y = next(images["train"].batches(50))
    nn.functional.cross_entropy(plain(x.double()), y).backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in plain.parameters()]).norm()
    factor = min(1, largest / norm)
    assert (factor < 1) == (largest < 1)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.double(), b - 0.05 * factor * b.grad, rtol=0, atol=1e-6)


def test_the_learning_rate_changes_in_every_step_and_rows_have_that_of_the_last(images, monkeypatch):
    config = replace(CONFIG, schedule="cosine", warmup=1)
    trainer = Trainer(made_network(), images, config, seed=0)
    rates = []
    monkeypatch.setattr(trainer.optimizer, "step", rates.append)
    run = trainer.train()
    assert rates == [config.learning_rate_at(step, 7) for step in range(28)]
    assert [row["learning_rate"] for row in run.rows] == rates[6::7]


def test_a_training_that_is_to_stop_early_follows_the_schedule_of_the_whole(images):
    config = replace(CONFIG, schedule="cosine")
    whole = Trainer(made_network(), images, config, seed=0).train()
    stopped = Trainer(made_network(), images, config, seed=0).train(epochs=2)
    for name in ("train_loss", "validation_loss", "learning_rate"):
        assert [row[name] for row in stopped.rows] == [row[name] for row in whole.rows[:2]]


@pytest.mark.parametrize("patience", [1, 3])
def test_a_training_stops_once_no_epoch_has_been_better_for_so_long(images, patience, caplog):
    config = replace(STALLING, early_stopping=patience)
    accuracies = [row["validation_accuracy"] for row in Trainer(made_network(), images, STALLING, seed=0).train().rows]
    ends = [end for end in range(patience, 31) if accuracies.index(max(accuracies[:end])) + 1 <= end - patience]
    trainer = Trainer(made_network(), images, config, seed=0)
    with caplog.at_level("INFO"):
        run = trainer.train()
    assert [row["validation_accuracy"] for row in run.rows] == accuracies[: ends[0]]
    assert f"no better validation accuracy in {patience} epochs, training ends" in caplog.text
    summary = trainer.summarize("best")
    assert (summary["status"], summary["epochs"], summary["best_epoch"]) == ("finished", ends[0], ends[0] - patience)
    assert summary["best_validation_accuracy"] == max(accuracies[: ends[0]])


def test_what_stops_a_training_must_be_measured():
    with pytest.raises(UserError, match=r"^a: early_stopping: 2, but there are no validation images$"):
        Trainer(made_network(), made_images(train=20), TrainingConfig(early_stopping=2), seed=0, title="a")
