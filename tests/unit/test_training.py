"""A run against a plain PyTorch loop, and what interruptions and bad numbers do to it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset

from ansatz import training
from ansatz.batches import Images, on_device
from ansatz.errors import UserError
from ansatz.seeds import stream
from ansatz.store import CLOCK, Dataset, Part, write_metrics
from ansatz.training import Checkpoint, Protocol, evaluate, evaluate_best, train
from real_data import ROOT

CPU = torch.device("cpu")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    means = rng.integers(40, 200, (3, 1, 8, 8))

    def part(n):
        labels = rng.integers(0, 3, n)
        images = np.clip(means[labels] + rng.normal(0, 40, (n, 1, 8, 8)), 0, 255).astype(np.uint8)
        return Part(images, labels)

    parts = {"train": part(50), "validation": part(20), "test": part(20)}
    return Dataset("made", ("a", "b", "c"), np.array([0.5]), np.array([0.25]), parts, "fingerprint")


def images_of(data):
    return on_device(data, size=8, channels=1, device=CPU)


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(216, 3)]
    return nn.Sequential(*layers)


PROTOCOL = Protocol(epochs=4, batch_size=8, learning_rate=0.05)


def test_a_run_is_a_plain_pytorch_loop(data):
    """Write the loop with a DataLoader fed with the same indices and the same dropout seeds: 21 steps, to 1e-5."""
    protocol = Protocol(epochs=3, batch_size=8, learning_rate=0.05)
    ours, plain = network(), network()
    run = train(ours, images_of(data), protocol, seed=1)
    part = data.parts["train"]
    dataset = TensorDataset((torch.from_numpy(part.images).float() / 255 - 0.5) / 0.25, torch.from_numpy(part.labels))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for epoch in (1, 2, 3):
        order = np.random.default_rng(stream(1, "order", epoch)).permutation(50)
        torch.manual_seed(stream(1, "dropout", epoch))
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


def test_a_run_learns_and_reports_its_best_epoch(data):
    net = network()
    images = images_of(data)
    run = train(net, images, PROTOCOL, seed=0)
    accuracies = [row["validation_accuracy"] for row in run.rows]
    summary = run.summary(evaluate_best(net, run, images, PROTOCOL))
    assert max(accuracies) > 0.8
    assert summary["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert summary["best_validation_accuracy"] == max(accuracies)
    assert evaluate(net, images["validation"], PROTOCOL)[1] == max(accuracies), "the best weights are loaded"
    assert 0.5 < summary["test_accuracy"] <= 1


def test_without_validation_and_test_parts_none_is_reported(data):
    only = Dataset(data.name, data.classes, data.mean, data.std, {"train": data.parts["train"]}, "")
    run = train(network(), images_of(only), Protocol(epochs=1), seed=0)
    assert "validation_loss" not in run.rows[0]
    assert run.summary(None)["best_epoch"] is None


def numbers(run):
    return pd.DataFrame(run.rows).drop(columns=list(CLOCK))


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("after", "momentum"), [(1, 0.9), (2, 0.9), (3, 0.9), (2, 0.0)])
def test_a_killed_run_goes_on_to_bit_identical_numbers(data, tmp_path, monkeypatch, after, momentum):
    protocol = replace(PROTOCOL, momentum=momentum)
    whole = train(network(), images_of(data), protocol, seed=0)
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    epoch = training._epoch

    def killed(*arguments):
        if arguments[6] > after:
            raise Killed
        return epoch(*arguments)

    monkeypatch.setattr(training, "_epoch", killed)
    with pytest.raises(Killed):
        train(network(), images_of(data), protocol, seed=0, checkpoint=checkpoint)
    monkeypatch.setattr(training, "_epoch", epoch)
    resumed = train(network(), images_of(data), protocol, seed=0, checkpoint=checkpoint)
    pd.testing.assert_frame_equal(numbers(resumed), numbers(whole), check_exact=True)
    assert all(torch.equal(resumed.best_weights[name], value) for name, value in whole.best_weights.items())


def test_a_kill_while_the_checkpoint_is_written_leaves_the_one_before(data, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    checkpoint.save({"epoch": 1})
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: (save({}, path), (_ for _ in ()).throw(Killed))[1])
    with pytest.raises(Killed):
        checkpoint.save({"epoch": 2})
    assert checkpoint.load()["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_foreign_or_broken_checkpoint_is_refused_and_said_so(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    Checkpoint(path, "one").save({"epoch": 1})
    with caplog.at_level("INFO"):
        assert Checkpoint(path, "two").load() is None
        path.write_bytes(path.read_bytes()[:100])
        assert Checkpoint(path, "one").load() is None
        Checkpoint(path, "one").save({"weights": torch.arange(1000.0)})
        flipped = bytearray(path.read_bytes())
        flipped[len(flipped) // 2] ^= 1  # in the tensor, where torch.load does not look
        path.write_bytes(flipped)
        assert Checkpoint(path, "one").load() is None
        for content in ([1], {"a": 1}):
            torch.save(content, path)
            assert Checkpoint(path, "one").load() is None
    assert "of other parameters" in caplog.messages[0]
    assert all("cannot be read" in message for message in caplog.messages[1:])


def test_a_checkpoint_is_keyed_by_all_that_a_run_depends_on(tmp_path):
    code = tmp_path / "code.py"
    code.write_text("a")
    base = Checkpoint.of("x", network(), {"lr": 1}, code=[code]).key
    assert base == Checkpoint.of("x", network(), {"lr": 1}, code=[code]).key
    other = network()
    with torch.no_grad():
        other[0].weight[0] += 1
    code_b = tmp_path / "b.py"
    code_b.write_text("b")
    keys = {
        Checkpoint.of("x", network(), {"lr": 2}, code=[code]).key,
        Checkpoint.of("x", other, {"lr": 1}, code=[code]).key,
        Checkpoint.of("x", network(), {"lr": 1}, code=[code_b]).key,
    }
    assert len(keys | {base}) == 4


def test_a_loss_that_is_not_finite_ends_the_run_with_a_row_that_says_so(data, tmp_path):
    images = images_of(data)
    run = train(network(), images, Protocol(epochs=5, learning_rate=1e18), seed=0)
    assert run.diverged
    assert len(run.rows) < 5
    assert [row["status"] for row in run.rows] == ["ok"] * (len(run.rows) - 1) + ["diverged"]
    assert run.summary(None)["status"] == "diverged"
    write_metrics(tmp_path / "metrics.csv", run.rows)
    assert pd.read_csv(tmp_path / "metrics.csv").status.iloc[-1] == "diverged"


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters(data):
    seen = set()
    net = network()
    net[0].register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    run = train(
        net, images_of(data), Protocol(epochs=4, batch_size=8, learning_rate=0.05, precision="bfloat16"), seed=0
    )
    assert seen == {torch.bfloat16}
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert run.best["validation_accuracy"] > 0.8


def test_evaluation_is_in_evaluation_mode_over_every_image(data):
    net = network()
    images = images_of(data)["validation"]
    loss, accuracy = evaluate(net, images, Protocol(batch_size=7))
    with torch.inference_mode():
        x, y = next(images.batches(len(images)))
        logits = net.eval()(x)
    assert loss == pytest.approx(cross_entropy(logits, y).item(), abs=1e-6)
    assert accuracy == (logits.argmax(1) == y).double().mean().item()


def test_the_evaluations_batches_follow_the_memory_and_change_nothing(data, monkeypatch):
    sizes = []
    inner = Images.batches
    monkeypatch.setattr(
        Images, "batches", lambda self, size, order=None: (sizes.append(size), inner(self, size, order))[1]
    )
    found = []
    for memory in (20 * 64, 10**9):  # the pool fits just in
        images = on_device(data, size=8, channels=1, device=CPU, memory=memory)["validation"]
        found.append(evaluate(network(), images, Protocol(batch_size=7)))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert sizes[:2] == [1, 7], "at least as large as in training"
    assert sizes[3] > 1000


def test_compiled_steps_learn_the_same(data, tmp_path):
    """Without dropout, as compiled networks draw other masks; what was compiled lies where later runs find it."""
    plain, compiled = network(), network()
    plain[3] = compiled[3] = nn.Identity()
    rows = [
        train(net, images_of(data), replace(PROTOCOL, compile=on), seed=0, compiled=tmp_path).rows
        for net, on in ((plain, False), (compiled, True))
    ]
    for a, b in zip(*rows, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], abs=1e-4)
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], abs=1e-4)
    assert list(tmp_path.iterdir())
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_a_missing_compiler_is_one_line(data, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(UserError, match="compile: true, but there is no C compiler"):
        train(network(), images_of(data), replace(PROTOCOL, compile=True), seed=0)


def test_auto_does_not_compile_on_the_cpu(data, caplog):
    with caplog.at_level("INFO"):
        train(network(), images_of(data), Protocol(epochs=1), seed=0)
    assert "compiling" not in caplog.text


def test_a_training_does_not_wait_for_modules_that_it_does_without():
    """Importing each of these takes as long as training a small network for an epoch or more."""
    code = """if True:
        import sys, numpy as np, torch
        from ansatz.batches import on_device
        from ansatz.devices import take_device
        from ansatz.initializers import initialize
        from ansatz.networks import build
        from ansatz.store import Dataset, Part, write_metrics
        from ansatz.training import Checkpoint, Protocol, train
        part = Part(np.zeros((2, 1, 8, 8), np.uint8), np.arange(2))
        data = Dataset("made", ("a", "b"), np.zeros(1), np.ones(1), {"train": part}, "")
        images = on_device(data, size=32, channels=3, device=take_device("cpu", 1))
        network = build("vgg11", 2, seed=0, width=0.01)
        initialize(network, "normal", seed=0)
        run = train(network, images, Protocol(epochs=1), seed=0)
        slow = {"torch._dynamo", "torchvision", "pandas", "sklearn", "matplotlib"} & sys.modules.keys()
        sys.exit(", ".join(slow) or None)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_library_computes_with_torch_alone():
    """As on a machine with a GPU and little more than PyTorch."""
    code = """if True:
        import sys
        sys.modules.update(dict.fromkeys(("h5py", "tqdm", "pandas", "scipy", "sklearn", "matplotlib", "safetensors")))
        import numpy as np
        from ansatz import initializers, training
        from ansatz.batches import on_device
        from ansatz.devices import take_device
        from ansatz.feature_matrices import agop, nfm
        from ansatz.networks import build
        from ansatz.store import Dataset, Part
        part = Part(np.zeros((4, 1, 8, 8), np.uint8), np.arange(4) % 2)
        data = Dataset("made", ("a", "b"), np.zeros(1), np.ones(1), {"train": part}, "")
        images = on_device(data, size=32, channels=3, device=take_device("cpu", 1))
        network = build("vgg11", 2, seed=0, width=0.01)
        initializers.initialize(network, "nfm", seed=0, matrices={"nfm": nfm(network)})
        training.train(network, images, training.Protocol(epochs=1), seed=0)
        agop(network, (x for x, _ in images["train"].batches(2)), probes=2)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_users_generator_is_left_alone(data):
    net = network()
    state = torch.get_rng_state()
    train(net, images_of(data), Protocol(epochs=1), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
