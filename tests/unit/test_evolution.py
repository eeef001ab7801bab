"""What is seen of a network while it trains, and that looking changes nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from ansatz import evolution
from ansatz.batches import on_device
from ansatz.errors import UserError
from ansatz.feature_matrices import agop
from ansatz.store import Dataset, Part, read_evolution, write_evolution
from ansatz.training import Checkpoint, Protocol, Watch, train

PROTOCOL = Protocol(epochs=3, batch_size=8, learning_rate=0.05)  # 5 steps an epoch


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    parts = {
        part: Part(rng.integers(0, 255, (n, 1, 8, 8), dtype=np.uint8), rng.integers(0, 3, n))
        for part, n in (("train", 40), ("validation", 20))
    }
    data = Dataset("made", ("a", "b", "c"), np.array([0.5]), np.array([0.25]), parts, "fingerprint")
    return on_device(data, size=8, channels=1, device=torch.device("cpu"))


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, groups=2)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(), nn.Linear(96, 3))


def watch(images, steps=(), image=3):
    how = {"sample": 10, "estimator": {"probes": None, "precision": "float32"}, "image": image}
    return Watch(evolution.observer(["0", "3"], images, **how), steps)


def test_looking_changes_no_bit_of_a_training(images):
    plain, seen = network(), network()
    rows = train(plain, images, PROTOCOL, seed=1).rows
    watched = train(seen, images, PROTOCOL, seed=1, watch=watch(images, steps=(1, 2, 4))).rows
    for a, b in zip(rows, watched, strict=True):
        assert {key: a[key] for key in a if "loss" in key} == {key: b[key] for key in b if "loss" in key}
    for a, b in zip(plain.state_dict().values(), seen.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_network_is_looked_at_before_inside_of_the_first_and_after_each_epoch(images):
    run = train(network(), images, PROTOCOL, seed=1, watch=watch(images, steps=(1, 3, 5)))
    assert [record["step"] for record in run.records] == [0, 1, 3, 5, 10, 15]
    assert [record["epoch"] for record in run.records] == [0, 0.2, 0.6, 1, 2, 3]


def test_what_is_seen_is_what_the_network_has_then(images):
    trained = network()
    run = train(trained, images, PROTOCOL, seed=1, watch=watch(images))
    first, last = run.records[0], run.records[-1]
    assert torch.equal(first["filters"]["0"], network()[0].weight)
    assert torch.equal(last["filters"]["3"], trained[3].weight)
    assert last["validation_accuracy"] == run.rows[-1]["validation_accuracy"]
    assert last["train_eval_loss"] == run.rows[-1]["train_eval_loss"]
    order = images["train"].sample(10, seed=0)
    expected = agop(trained, [x for x, _ in images["train"].batches(10, order)])["3"].factor
    torch.testing.assert_close(last["agop"]["3"], expected)
    trained.eval()
    x, _ = next(images["validation"].batches(1, torch.tensor([3])))
    torch.testing.assert_close(last["outputs"]["0"], trained[0](x)[0].detach())
    torch.testing.assert_close(last["outputs"]["3"], trained[:4](x)[0].detach())  # not what the ReLU after it leaves


def test_a_killed_run_has_seen_the_same(images, tmp_path, monkeypatch):
    whole = train(network(), images, PROTOCOL, seed=1, watch=watch(images, steps=(2,)))
    checkpoint = Checkpoint.of(tmp_path / "checkpoint.pt", network(), "parameters")
    saved = Checkpoint.save

    def killed(self, state):
        saved(self, state)
        if len(state["run"]["rows"]) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(network(), images, PROTOCOL, seed=1, watch=watch(images, steps=(2,)), checkpoint=checkpoint)
    monkeypatch.undo()
    resumed = train(network(), images, PROTOCOL, seed=1, watch=watch(images, steps=(2,)), checkpoint=checkpoint)
    assert [record["step"] for record in resumed.records] == [record["step"] for record in whole.records]
    for a, b in zip(whole.records, resumed.records, strict=True):
        assert a["validation_loss"] == b["validation_loss"]
        assert torch.equal(a["agop"]["0"], b["agop"]["0"])


def test_correlations_are_to_the_end_and_survive_the_file(images, tmp_path):
    made = network()
    run = train(made, images, PROTOCOL, seed=1, watch=watch(images))
    seen = evolution.gather(made, run.records, np.zeros((1, 8, 8), np.uint8), "made")
    nfms = [(w := record["filters"]["0"].reshape(4, -1).double()).T @ w for record in run.records]
    expected = [np.corrcoef(nfm.flatten(), nfms[-1].flatten())[0, 1] for nfm in nfms]
    np.testing.assert_allclose(seen.layers["0"].correlations["nfm_final_nfm"], expected, rtol=1e-9)
    factors = [record["agop"]["3"].double() for record in run.records]  # (2, 3, 18)
    agops = [(factor.mT @ factor).flatten() for factor in factors]
    expected = [np.corrcoef(one, agops[-1])[0, 1] for one in agops]
    np.testing.assert_allclose(seen.layers["3"].correlations["agop_final_agop"], expected, rtol=1e-9)
    write_evolution(tmp_path / "evolution.h5", seen, {})
    read = read_evolution(tmp_path / "evolution.h5")
    assert (list(read.layers), read.name) == (["0", "3"], "made")
    np.testing.assert_array_equal(read.layers["3"].outputs, seen.layers["3"].outputs)
    np.testing.assert_array_equal(read.curves["epoch"], [0, 1, 2, 3])


def test_a_step_beyond_the_epoch_is_refused(images):
    with pytest.raises(UserError, match="a: steps: 6, but an epoch has 5"):
        train(network(), images, PROTOCOL, seed=1, watch=watch(images, steps=(1, 6)), title="a")


def test_layers_and_images_that_are_not_there_are_refused(images):
    assert evolution.chosen(network(), None) == ["0", "3"]
    with pytest.raises(UserError, match="layers: '1' is no convolution of the network; they are 0, 3"):
        evolution.chosen(network(), ["1"])
    with pytest.raises(UserError, match="image: 20, but there are 20 validation images; they count from 0"):
        watch(images, image=20)


def test_a_training_that_diverges_ends_in_one_line(images, tmp_path):
    checkpoint = Checkpoint.of(tmp_path / "checkpoint.pt", network(), "parameters")
    protocol = Protocol(epochs=3, batch_size=8, learning_rate=1e30)
    run = train(network(), images, protocol, seed=1, watch=watch(images), checkpoint=checkpoint)
    assert (run.diverged, len(run.records)) == (True, 1)  # before it went wrong
    with pytest.raises(UserError, match=r"evolution\.a: diverged in epoch 1; lower its learning_rate"):
        run.refuse_diverged("evolution.a", checkpoint)
    assert not checkpoint.path.exists()
