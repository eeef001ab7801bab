"""A training against a plain PyTorch loop, and what interruptions and bad numbers do to it."""

import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset

from ansatz import registry
from ansatz.errors import UserError
from ansatz.files.tables import CLOCK, write_metrics
from ansatz.job import job
from ansatz.seeds import derive_seed
from ansatz.training.checkpoint import Checkpoint
from ansatz.training.config import OPTIMIZERS, TrainingConfig
from ansatz.training.evaluation import evaluate
from ansatz.training.trainer import Trainer
from made_images import made_dataset, made_images, made_network

CONFIG = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.05)
SIZES = {"train": 50, "validation": 20, "test": 20}


@pytest.fixture
def images():
    return made_images(**SIZES)


def test_a_training_equals_a_plain_pytorch_loop(images):
    """Write the loop with a DataLoader fed with the same indices and the same dropout seeds: 21 steps, to 1e-5."""
    ours, plain = made_network(), made_network()
    run = Trainer(ours, images, replace(CONFIG, epochs=3), seed=1).train()
    part = made_dataset(**SIZES).parts["train"]
    dataset = TensorDataset((torch.from_numpy(part.images).float() / 255 - 0.5) / 0.25, torch.from_numpy(part.labels))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for epoch in (1, 2, 3):
        order = np.random.default_rng(derive_seed(1, "order", epoch)).permutation(50)
        torch.manual_seed(derive_seed(1, "dropout", epoch))
        loader = iter(DataLoader(Subset(dataset, order.tolist()), batch_size=8, generator=torch.Generator()))
        plain.train()
        loss_sum = correct = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            logits = plain(x)
            loss = cross_entropy(logits, y)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(y)
            correct += (logits.argmax(1) == y).sum().item()
        assert run.rows[epoch - 1]["train_loss"] == pytest.approx(loss_sum / 50, abs=1e-5)
        assert run.rows[epoch - 1]["train_accuracy"] == pytest.approx(correct / 50)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=0, atol=1e-5)


def test_a_training_learns_and_reports_its_best_epoch(images):
    network = made_network()
    trainer = Trainer(network, images, CONFIG, seed=0)
    run = trainer.train()
    accuracies = [row["validation_accuracy"] for row in run.rows]
    summary = trainer.summarize("best")
    assert max(accuracies) > 0.8
    assert summary["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert summary["best_validation_accuracy"] == summary["validation_accuracy"] == max(accuracies)
    assert evaluate(network, images["validation"], CONFIG)["accuracy"] == max(accuracies), "the best weights are loaded"
    assert 0.5 < summary["test_accuracy"] <= 1
    assert summary["test_loss"] == evaluate(network, images["test"], CONFIG)["loss"]


def test_the_result_may_be_the_last_epochs_network(images):
    config = replace(CONFIG, epochs=6, learning_rate=0.1)
    network = made_network()
    trainer = Trainer(network, images, config, seed=0)
    run = trainer.train()
    assert run.best is not run.rows[-1], "the case that is of interest"
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    summary = trainer.summarize("last")
    assert summary["validation_accuracy"] == run.rows[-1]["validation_accuracy"]
    assert all(torch.equal(network.state_dict()[name], value) for name, value in weights.items())


def test_without_validation_and_test_parts_none_is_reported():
    trainer = Trainer(made_network(), made_images(train=50), TrainingConfig(epochs=1), seed=0)
    run = trainer.train()
    assert "validation_loss" not in run.rows[0]
    for epoch in ("best", "last"):
        summary = trainer.summarize(epoch)
        assert summary["best_epoch"] is summary["validation_accuracy"] is summary["test_accuracy"] is None


def numbers(run):
    return pd.DataFrame(run.rows).drop(columns=list(CLOCK))


class Killed(BaseException):
    pass


def killed_after(monkeypatch, steps):
    """Let trainings be killed after so many steps, of which each leaves a checkpoint."""
    train_step, left = Trainer._train_step, iter(range(steps))

    def killed(self, *batch):
        if next(left, None) is None:
            raise Killed
        train_step(self, *batch)

    monkeypatch.setattr(Trainer, "_train_step", killed)
    monkeypatch.setattr("ansatz.training.checkpoint.SHARE", np.inf)


def assert_resumes_to(whole, images, checkpoint, config=CONFIG, network=None):
    resumed = Trainer(network or made_network(), images, config, seed=0, checkpoint=checkpoint).train()
    pd.testing.assert_frame_equal(numbers(resumed), numbers(whole), check_exact=True)
    assert all(torch.equal(resumed.best_weights[name], value) for name, value in whole.best_weights.items())


CHANGES = [
    {"momentum": 0.0},
    {"schedule": "cosine", "warmup": 1.5, "gradient_clipping": 0.1},
    {"augment": {"flip": True, "crop": 2}, "metrics": ["balanced_accuracy"]},
    {"epochs": 30, "learning_rate": 0.1, "early_stopping": 2},
    *[{"optimizer": name} for name in OPTIMIZERS],
]


@pytest.mark.parametrize(("steps", "changes"), [(1, {}), (7, {}), (27, {}), *[(10, changes) for changes in CHANGES]])
def test_a_killed_training_resumes_to_bit_identical_numbers(images, tmp_path, monkeypatch, steps, changes):
    """An epoch has 7 steps."""
    config = replace(CONFIG, **changes)
    whole = Trainer(made_network(), images, config, seed=0).train()
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    killed_after(monkeypatch, steps)
    with pytest.raises(Killed):
        Trainer(made_network(), images, config, seed=0, checkpoint=checkpoint).train()
    monkeypatch.undo()
    assert_resumes_to(whole, images, checkpoint, config)


def test_batch_norms_are_resumed_and_their_statistics_belong_to_the_best_weights(images, tmp_path, monkeypatch):
    def with_batch_norm():
        network = made_network()
        network.insert(1, nn.BatchNorm2d(6))
        return network

    network = with_batch_norm()
    whole = Trainer(network, images, CONFIG, seed=0)
    whole.train()
    assert whole.run.best_weights["1.num_batches_tracked"] == 7 * whole.run.best["epoch"]
    best = whole.summarize("best")["best_validation_accuracy"]
    assert best == evaluate(network, images["validation"], CONFIG)["accuracy"]
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    killed_after(monkeypatch, 10)
    with pytest.raises(Killed):
        Trainer(with_batch_norm(), images, CONFIG, seed=0, checkpoint=checkpoint).train()
    monkeypatch.undo()
    assert_resumes_to(whole.run, images, checkpoint, network=with_batch_norm())


def test_a_single_image_that_a_batch_norm_cannot_normalise_is_one_line():
    network = nn.Sequential(nn.Conv2d(1, 6, 8), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, 3))
    with pytest.raises(UserError, match=r"^a: batch_size: 7 leaves a last image alone, too little for a batch norm$"):
        Trainer(network, made_images(train=50), replace(CONFIG, batch_size=7), seed=0, title="a").train()


def interrupted_at(network, call, training):
    """Let SIGTERM arrive at so many a forward pass of these, behind the dropout and before the last layer."""
    calls = iter(range(call))

    def interrupt(module, _inputs):
        if module.training is training and next(calls, None) == call - 1:
            signal.raise_signal(signal.SIGTERM)

    network[4].register_forward_pre_hook(interrupt)
    return network


@pytest.mark.parametrize(
    ("call", "training", "resumed"),
    [
        (3, True, "after image 24 of epoch 1 of 4"),
        (7, True, "after image 50 of epoch 1 of 4"),
        (8, True, "after image 8 of epoch 2 of 4"),
        (1, False, "after image 50 of epoch 1 of 4"),
    ],
)
def test_an_interrupted_training_completes_its_step_and_resumes_there(
    images, tmp_path, monkeypatch, call, training, resumed
):
    whole = Trainer(made_network(), images, CONFIG, seed=0).train()
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    monkeypatch.setattr("ansatz.training.checkpoint.SHARE", 0)
    network = interrupted_at(made_network(), call, training)
    with pytest.raises(SystemExit), job(tmp_path / "log"):
        Trainer(network, images, CONFIG, seed=0, checkpoint=checkpoint).train()
    with job(tmp_path / "log"):
        assert_resumes_to(whole, images, checkpoint)
    assert f"resuming {resumed}\n" in (tmp_path / "log").read_text()


def test_an_interruption_after_the_last_epoch_loses_no_epoch(images, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    monkeypatch.setattr("ansatz.training.checkpoint.SHARE", 0)
    trainer = Trainer(made_network(), images, CONFIG, seed=0, checkpoint=checkpoint)
    whole = trainer.train()
    monkeypatch.setattr(trainer, "test", lambda _epoch: signal.default_int_handler(signal.SIGINT, None))
    with pytest.raises(KeyboardInterrupt):
        trainer.summarize("best")
    assert_resumes_to(whole, images, checkpoint)
    assert len(torch.load(checkpoint.path)["run"]["rows"]) == CONFIG.epochs


def test_a_training_that_is_not_interrupted_saves_nothing_until_that_is_due(images, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    monkeypatch.setattr("ansatz.training.checkpoint.SHARE", 0)
    Trainer(made_network(), images, CONFIG, seed=0, checkpoint=checkpoint).train()
    assert not checkpoint.path.exists()


def test_a_loss_that_is_not_finite_ends_the_training_with_a_row_that_says_so(images, tmp_path):
    trainer = Trainer(made_network(), images, TrainingConfig(epochs=5, learning_rate=1e18), seed=0)
    run = trainer.train()
    assert run.diverged
    assert len(run.rows) < 5
    assert [row["status"] for row in run.rows] == ["ok"] * (len(run.rows) - 1) + ["diverged"]
    assert trainer.summarize("best")["status"] == "diverged"
    write_metrics(tmp_path / "metrics.csv", run.rows)
    assert pd.read_csv(tmp_path / "metrics.csv").status.iloc[-1] == "diverged"


def test_a_diverged_network_is_refused_as_a_result_and_a_rerun_starts_over(images, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    config = TrainingConfig(epochs=5, learning_rate=1e30)
    trainer = Trainer(made_network(), images, config, seed=0, checkpoint=checkpoint, title="sources.a")
    trainer.train()
    with pytest.raises(UserError, match=r"^sources\.a: diverged in epoch 1; lower its learning_rate$"):
        trainer.summarize("last")
    assert not checkpoint.path.exists()


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters(images):
    dtypes = set()
    network = made_network()
    network[0].register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    run = Trainer(network, images, replace(CONFIG, precision="bfloat16"), seed=0).train()
    assert dtypes == {torch.bfloat16}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert run.best["validation_accuracy"] > 0.8


def test_further_metrics_are_columns_of_each_part(images):
    config = replace(CONFIG, epochs=1, metrics=["confidence", "accuracy"])
    plain = Trainer(made_network(), images, replace(CONFIG, epochs=1), seed=0).train().rows[0]
    trainer = Trainer(made_network(), images, config, seed=0)
    row = trainer.train().rows[0]
    assert row.keys() - plain.keys() == {f"{part}_confidence" for part in ("train", "train_eval", "validation")}
    assert numbers(trainer.run)[list(plain.keys() - set(CLOCK))].iloc[0].to_dict() == {
        name: value for name, value in plain.items() if name not in CLOCK
    }
    assert 1 / 3 < trainer.summarize("best")["test_confidence"] <= 1


PLUGIN = '''
from ansatz.registry import metric


@metric
def margin(logits, labels):
    """The difference of the label's logit and the largest other logit."""
    label = logits.gather(1, labels.unsqueeze(1))
    return label.squeeze(1) - logits.scatter(1, labels.unsqueeze(1), -float("inf")).amax(1)
'''


def test_a_metric_of_the_users_is_one_function_in_one_file(images, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    (tmp_path / "my_metrics.py").write_text(PLUGIN)
    registry.use([tmp_path / "my_metrics.py"])
    run = Trainer(made_network(), images, replace(CONFIG, metrics=["margin"]), seed=0).train()
    assert run.rows[-1]["validation_margin"] > run.rows[0]["validation_margin"]


def test_compiled_steps_learn_the_same(images, tmp_path):
    """Without dropout, as compiled networks draw other masks; compiled code lies where later runs look for it."""
    plain, compiled = made_network(), made_network()
    plain[3] = compiled[3] = nn.Identity()
    config = replace(CONFIG, augment={"flip": True, "crop": 1})
    rows = [
        Trainer(network, images, replace(config, compile=on), seed=0, compile_cache=tmp_path).train().rows
        for network, on in ((plain, False), (compiled, True))
    ]
    for a, b in zip(*rows, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], abs=1e-4)
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], abs=1e-4)
    assert list(tmp_path.iterdir())
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_a_missing_compiler_is_one_line(images, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(UserError, match="compile: true, but there is no C compiler"):
        Trainer(made_network(), images, replace(CONFIG, compile=True), seed=0).train()


def test_auto_does_not_compile_on_the_cpu(images, caplog):
    with caplog.at_level("INFO"):
        Trainer(made_network(), images, TrainingConfig(epochs=1), seed=0).train()
    assert "compiling" not in caplog.text


def test_the_users_generator_is_left_alone(images):
    network = made_network()
    state = torch.get_rng_state()
    Trainer(network, images, TrainingConfig(epochs=1), seed=0).train()
    assert torch.equal(torch.get_rng_state(), state)
