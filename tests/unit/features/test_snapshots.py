"""Snapshots of a network in training, which do not disturb it."""

import numpy as np
import pytest
import torch
from torch import nn

from ansatz.errors import UserError
from ansatz.features.agop import agop, agop_over
from ansatz.features.evolution import Snapshots
from ansatz.files.evolution import read_evolution, write_evolution
from ansatz.training.checkpoint import Checkpoint
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from made_images import made_dataset, made_images

CONFIG = TrainingConfig(epochs=3, batch_size=8, learning_rate=0.05)  # 5 steps per epoch
SIZES = {"train": 40, "validation": 20}


@pytest.fixture
def images():
    return made_images(**SIZES)


def made_network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, groups=2)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(), nn.Linear(96, 3))


def snapshots_of(network, images, steps=(), image=3, layers=None):
    estimator = {"sample_size": 10, "probes": None, "precision": "float32"}
    return Snapshots.of(network, images, layers=layers, image=image, estimator=estimator, steps=steps)


def trained(images, steps=(), network=None, config=CONFIG, **options):
    network = network or made_network()
    trainer = Trainer(network, images, config, seed=1, snapshots=snapshots_of(network, images, steps), **options)
    trainer.train()
    return trainer


def test_snapshots_change_no_bit_of_a_training(images):
    plain, recorded = made_network(), made_network()
    rows = Trainer(plain, images, CONFIG, seed=1).train().rows
    with_snapshots = trained(images, steps=(1, 2, 4), network=recorded).run.rows
    for a, b in zip(rows, with_snapshots, strict=True):
        assert {key: a[key] for key in a if "loss" in key} == {key: b[key] for key in b if "loss" in key}
    for a, b in zip(plain.state_dict().values(), recorded.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_snapshots_are_taken_before_training_in_the_first_epoch_and_after_each_epoch(images):
    run = trained(images, steps=(1, 3, 5)).run
    assert [snapshot["step"] for snapshot in run.snapshots] == [0, 1, 3, 5, 10, 15]
    assert [snapshot["epoch"] for snapshot in run.snapshots] == [0, 0.2, 0.6, 1, 2, 3]


def test_a_snapshot_is_what_the_network_is_at_that_moment(images):
    network = made_network()
    run = trained(images, network=network).run
    first, last = run.snapshots[0], run.snapshots[-1]
    assert torch.equal(first["filters"]["0"], made_network()[0].weight)
    assert torch.equal(last["filters"]["3"], network[3].weight)
    assert last["metrics"] == {key: run.rows[-1][key] for key in last["metrics"]}
    assert {"validation_accuracy", "train_eval_loss"} <= last["metrics"].keys() == first["metrics"].keys()
    order = images["train"].sample(10, seed=0)
    expected = agop(network, [x for x, _ in images["train"].batches(10, order)])["3"].factor
    torch.testing.assert_close(last["agop"]["3"], expected)
    network.eval()
    x, _ = next(images["validation"].batches(1, torch.tensor([3])))
    torch.testing.assert_close(last["outputs"]["0"], network[0](x)[0].detach())
    torch.testing.assert_close(last["outputs"]["3"], network[:4](x)[0].detach())  # not what the ReLU after it leaves


@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_a_training_that_is_interrupted_in_a_snapshot_resumes_to_the_same_ones(images, tmp_path, monkeypatch, call):
    """Snapshots are taken before training, after two steps, and after each of three epochs."""
    whole = trained(images, steps=(2,)).run
    checkpoint = Checkpoint.of(tmp_path / "checkpoint.pt", made_network(), "parameters")
    calls = iter(range(1, call + 1))

    def interrupted(*arguments, **options):
        if next(calls, None) == call:
            raise KeyboardInterrupt
        return agop_over(*arguments, **options)

    monkeypatch.setattr("ansatz.features.evolution.agop_over", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(images, steps=(2,), checkpoint=checkpoint)
    resumed = trained(images, steps=(2,), checkpoint=checkpoint).run
    assert [snapshot["step"] for snapshot in resumed.snapshots] == [snapshot["step"] for snapshot in whole.snapshots]
    for a, b in zip(whole.snapshots, resumed.snapshots, strict=True):
        assert a["metrics"] == b["metrics"]
        assert torch.equal(a["agop"]["0"], b["agop"]["0"])


def test_correlations_are_with_the_last_snapshot_and_survive_the_file(images, tmp_path):
    trainer = trained(images)
    snapshots = trainer.run.snapshots
    evolution = trainer.snapshots.collect(trainer.network, snapshots, "made")
    nfms = [(w := snapshot["filters"]["0"].reshape(4, -1).double()).T @ w for snapshot in snapshots]
    expected = [np.corrcoef(nfm.flatten(), nfms[-1].flatten())[0, 1] for nfm in nfms]
    np.testing.assert_allclose(evolution.layers["0"].correlations["nfm_final_nfm"], expected, rtol=1e-9)
    factors = [snapshot["agop"]["3"].double() for snapshot in snapshots]  # (2, 3, 18)
    agops = [(factor.mT @ factor).flatten() for factor in factors]
    expected = [np.corrcoef(matrix, agops[-1])[0, 1] for matrix in agops]
    np.testing.assert_allclose(evolution.layers["3"].correlations["agop_final_agop"], expected, rtol=1e-9)
    write_evolution(tmp_path / "evolution.h5", evolution, {})
    read = read_evolution(tmp_path / "evolution.h5")
    assert (list(read.layers), read.name) == (["0", "3"], "made")
    np.testing.assert_array_equal(read.layers["3"].outputs, evolution.layers["3"].outputs)
    np.testing.assert_array_equal(read.curves["epoch"], [0, 1, 2, 3])
    np.testing.assert_array_equal(read.image, made_dataset(**SIZES).parts["validation"].images[3])


def test_a_step_beyond_the_epoch_is_refused(images):
    with pytest.raises(UserError, match="a: steps: 6, but an epoch has 5 steps"):
        trained(images, steps=(1, 6), title="a")


def test_absent_layers_and_images_are_refused(images):
    assert snapshots_of(made_network(), images).layers == ["0", "3"]
    with pytest.raises(UserError, match="layers: the network has no layer '1'; it has 0, 3"):
        snapshots_of(made_network(), images, layers=["1"])
    with pytest.raises(UserError, match="image: 20, but the 20 validation images are counted from 0"):
        snapshots_of(made_network(), images, image=20)


def test_a_diverged_training_has_the_snapshots_before(images):
    run = trained(images, config=TrainingConfig(epochs=3, batch_size=8, learning_rate=1e30)).run
    assert (run.diverged, len(run.snapshots)) == (True, 1)
