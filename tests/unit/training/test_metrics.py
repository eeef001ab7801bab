"""Evaluation, and every registered metric, against plain float64."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch.nn.functional import cross_entropy

from ansatz import registry
from ansatz.data.batches import Images
from ansatz.errors import UserError
from ansatz.training.config import TrainingConfig
from ansatz.training.evaluation import Averages, evaluate, untrained
from ansatz.training.trainer import Trainer
from made_images import CPU, made_images, made_network

METRICS = list(registry.definitions("metric"))
OF_IMAGES = [name for name in METRICS if registry.find("metric", name).declared["of"] == "images"]


def of_one_image(name, logits, label):
    """Return what a metric is, for one image in NumPy."""
    if name == "accuracy":
        return float(np.argmax(logits) == label)
    if name == "top5_accuracy":
        return float(label in np.argsort(-logits)[:5])
    exponentials = np.exp(logits - logits.max())
    return {"confidence": exponentials.max() / exponentials.sum()}.get(name)


def random_batch(n, classes, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((n, classes)), rng.integers(0, classes, n)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_metric_is_of_each_image_by_itself_in_any_precision(name, classes):
    metric = registry.find("metric", name).object
    logits, labels = (torch.from_numpy(array) for array in random_batch(30, classes))
    values = metric(logits.float(), labels)
    assert values.shape == (30,)
    assert values.isfinite().all()
    alone = torch.cat([metric(logits[i : i + 1], labels[i : i + 1]) for i in range(30)])
    torch.testing.assert_close(values.double(), alone.double(), rtol=1e-5, atol=1e-6)
    expected = [of_one_image(name, *image) for image in zip(logits.numpy(), labels.numpy(), strict=True)]
    if None not in expected:
        np.testing.assert_allclose(values.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_averages_are_over_images_however_they_are_batched(name):
    logits, labels = (torch.from_numpy(array) for array in random_batch(23, 10))
    averages = Averages([name], CPU)
    for x, y in zip(logits.split(7), labels.split(7), strict=True):
        averages.add(cross_entropy(x, y, reduction="sum"), x, y)
    means = averages.compute()
    assert means["loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-12)
    assert means[name] == pytest.approx(registry.find("metric", name).object(logits, labels).double().mean().item())
    assert list(means)[:2] == ["loss", "accuracy"]


@pytest.mark.parametrize("classes", [3, 40])  # of 40 classes, some have no image
def test_a_metric_of_the_confusion_matrix_is_of_all_images_however_they_are_batched(classes):
    logits, labels = (torch.from_numpy(array) for array in random_batch(60, classes))
    logits[torch.arange(60), labels] += 3 * torch.arange(60) / 60
    averages = Averages(["balanced_accuracy"], CPU)
    for x, y in zip(logits.split(7), labels.split(7), strict=True):
        averages.add(cross_entropy(x, y, reduction="sum"), x, y)
    means, predicted = averages.compute(), logits.argmax(1)
    assert list(means) == ["loss", "accuracy", "balanced_accuracy"]
    np.testing.assert_array_equal(averages.confusion, confusion_matrix(labels, predicted, labels=range(classes)))
    recalls = [np.mean(predicted.numpy()[labels == label] == label) for label in set(labels.tolist())]
    assert means["balanced_accuracy"] == pytest.approx(np.mean(recalls)) != pytest.approx(means["accuracy"])


def test_what_is_added_up_continues_from_its_state():
    logits, labels = (torch.from_numpy(array) for array in random_batch(23, 4))
    whole, first, second = (Averages(METRICS, CPU) for _ in range(3))
    for x, y in zip(logits.split(7), labels.split(7), strict=True):
        loss = cross_entropy(x, y, reduction="sum")
        whole.add(loss, x, y)
        if first.count < 14:
            first.add(loss, x, y)
            second.load_state(first.state)
        else:
            second.add(loss, x, y)
    assert first.count == 14
    assert second.compute() == whole.compute()


def test_a_metric_that_averages_by_itself_is_refused():
    @registry.metric
    def averaging(logits, labels):
        return (logits.argmax(1) == labels).double().mean()

    logits, labels = (torch.from_numpy(array) for array in random_batch(5, 3))
    with pytest.raises(UserError, match=r"metric averaging: .* one value per image, \(5,\)"):
        Averages(["averaging"], CPU).add(torch.tensor(1.0), logits, labels)


def test_a_metric_of_the_confusion_matrix_with_several_values_is_refused():
    @registry.metric(of="confusion")
    def recalls(confusion):
        return confusion.diagonal()

    logits, labels = (torch.from_numpy(array) for array in random_batch(5, 3))
    averages = Averages(["recalls"], CPU)
    averages.add(torch.tensor(1.0), logits, labels)
    with pytest.raises(UserError, match=r"metric recalls: returned shape \(3,\); it must return one value"):
        averages.compute()


def test_an_unknown_metric_is_refused():
    with pytest.raises(UserError, match=r"'confidenc' is none of .* did you mean 'confidence'"):
        Averages(["confidenc"], CPU)


def test_evaluation_is_in_evaluation_mode_over_every_image():
    network, images = made_network(), made_images(train=20)["train"]
    means = evaluate(network, images, TrainingConfig(batch_size=7))
    with torch.inference_mode():
        x, y = next(images.batches(len(images)))
        logits = network.eval()(x)
    assert means["loss"] == pytest.approx(cross_entropy(logits, y).item(), abs=1e-6)
    assert means["accuracy"] == (logits.argmax(1) == y).double().mean().item()


def test_the_evaluations_batches_follow_the_memory_and_change_nothing(monkeypatch):
    sizes = []
    batches = Images.batches
    monkeypatch.setattr(
        Images, "batches", lambda self, size, order=None: (sizes.append(size), batches(self, size, order))[1]
    )
    means = []
    for memory in (20 * 64, 10**9):  # the first just holds the images
        images = made_images(memory=memory, train=20)["train"]
        means.append(evaluate(made_network(), images, TrainingConfig(batch_size=7)))
    assert means[0] == pytest.approx(means[1], abs=1e-6)
    assert sizes[:2] == [1, 7], "at least as large as in training"
    assert sizes[3] > 1000


def test_a_network_that_guesses_is_told_from_one_that_was_trained():
    images, network = made_images(train=300, validation=30), made_network()
    right = images["train"].labels.clone()
    images["train"].labels = right[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    doubt = untrained(network, images["train"], 3, 200)
    hits = f"accuracy {accuracy_of(network, images['train'], 200):.1%} on 200 training images, no more than chance"
    assert doubt
    assert doubt.startswith(hits)
    assert untrained(network, images["train"], 10, 200) is None, "it knows other classes"
    images["train"].labels = right
    Trainer(network, images, TrainingConfig(epochs=3, learning_rate=0.01, batch_size=20), seed=0).train()
    assert untrained(network, images["train"], 3, 200) is None
    assert untrained(network, images["train"], 3, 3), "three hits are no evidence"


def accuracy_of(network, images, count):
    chosen = images.sample(count, seed=0)
    hits = [
        int(network.eval()(x).argmax() == y) for i in chosen.tolist() for x, y in images.batches(1, torch.tensor([i]))
    ]
    return sum(hits) / len(hits)
