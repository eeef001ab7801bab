"""What every registered machine must be, one's own too: each check raises an AssertionError about a wrong one."""

import numpy as np
import pytest
from sklearn.base import clone

from ansatz import registry
from ansatz.errors import UserError
from ansatz.machines.scores import learned_features, scores
from small_images import bars

SMALL = {
    "depth": 2,
    "width": 8,
    "iterations": 2,
    "training": {"optimizer": "adam", "learning_rate": 5e-3, "weight_decay": 0.0, "epochs": 10, "batch_size": 16},
}  # of the options that a machine has, so that it is fitted in a second


def construct(name, seed=0, **options):
    registered = registry.find("machine", name)
    small = {option: value for option, value in SMALL.items() if option in registered.types}
    return registered.object(**small | options, random_state=seed)


def crosses(n=90, channels=1):
    """Return noisy images with a bright row or a bright column, and which."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.3, (n, channels, 7, 7)).astype(np.float32), np.arange(n) % 2
    x[y == 0, :, 3] += 1
    x[y == 1, :, :, 3] += 1
    return x, y


def learns(name, **options):
    """It predicts new images better than chance, in grey and in colour."""
    for channels in (1, 3):
        x, y = crosses(channels=channels)
        machine = construct(name, **options).fit(x[:60], y[:60])
        assert machine.predict(x[60:]).shape == (30,)
        accuracy = machine.score(x[60:], y[60:])
        assert accuracy > 0.8, f"an accuracy of {accuracy:.0%} where the classes are plain, with {channels} channels"


def is_determined_by_its_random_state(name, **options):
    x, y = crosses()
    first, again = (construct(name, **options).fit(x, y).decision_function(x) for _ in range(2))
    assert np.array_equal(first, again), "two machines of the same random_state predict differently"


def can_be_cloned(name, **options):
    x, y = crosses()
    machine = construct(name, **options)
    before = machine.get_params()
    outputs = machine.fit(x, y).decision_function(x)
    assert all(machine.get_params()[key] is value for key, value in before.items()), "fit changes its parameters"
    assert np.array_equal(clone(machine).fit(x, y).decision_function(x), outputs), "a clone predicts differently"


def takes_labels_of_any_kind(name, **options):
    x, y = crosses()
    expected = construct(name, **options).fit(x, y).predict(x).astype(int)
    for names in (np.array(["column", "row"]), np.array([-3, 7]), np.array(["a", "b"], object)):
        machine = construct(name, **options).fit(x, names[y])
        assert np.array_equal(machine.predict(x), names[expected]), f"other predictions for the labels {names}"
    with pytest.raises(UserError, match=r"^labels: all 90 images belong to class 4; at least two classes"):
        construct(name, **options).fit(x, np.full(90, 4))


def predicts_each_image_independently(name, **options):
    x, y = crosses()
    machine = construct(name, **options).fit(x, y)
    alone = np.concatenate([machine.decision_function(image[None]) for image in x[:5]])
    np.testing.assert_allclose(machine.decision_function(x)[:5], alone, rtol=1e-3, atol=1e-4)


def learns_features_if_it_says_so(name, **options):
    declared = registry.find("machine", name).declared["learns_features"]
    x, y = crosses()
    machine = construct(name, **options).fit(x, y)
    _, matrices = machine.features()
    assert bool(matrices) == declared, f"learns_features is {declared}, but there are {len(matrices)} feature matrices"
    assert (machine.feature_layers > 0) == declared, f"learns_features is {declared}, but not feature_layers"
    learned = learned_features(machine, x[:2])
    for layer, matrix in learned.matrices.items():
        assert len(matrix) == np.prod(learned.shapes[layer]), f"the matrix of {layer} is not one over its patches"
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-5 * abs(matrix).max())
        assert np.trace(matrix) > 0, f"the matrix of {layer} is zero"
        assert len(learned.saliency[layer]) == 2, f"there is not one saliency map of {layer} for each image"
        assert np.isfinite(learned.saliency[layer]).all(), f"the saliency of {layer} is not finite"


def scores_each_number_of_layers(name, **options):
    """The last score is the machine's own."""
    x, y = crosses()
    machine = construct(name, **options).fit(x[:60], y[:60])
    rows = list(scores(machine, x[60:], y[60:]))
    layers = [row["layers"] for row in rows]
    assert layers == list(range(layers[0], machine.feature_layers + 1)), f"scores are of {layers} layers"
    assert rows[-1]["accuracy"] == machine.score(x[60:], y[60:]), "the last score is another than the machine's"


def learns_the_features_of_its_task(name, **options):
    """Bars are bright or dark and noise is neither: the constant patch has more of M than another one would."""
    if not registry.find("machine", name).declared["learns_features"]:
        return
    x, y = bars(200, 0)
    _, matrices = construct(name, **options).fit(x, y).features()
    assert matrices, "there are no feature matrices"
    matrix = next(iter(matrices.values())).dense()[0].double().numpy()
    share, chance = matrix.mean() * len(matrix) / np.trace(matrix), 1 / len(matrix)  # c.T M c / tr M, where |c| = 1
    assert share > 2 * chance, f"the constant patch has a share of {share:.2f} of M; that of chance is {chance:.2f}"


CHECKS = (
    learns,
    is_determined_by_its_random_state,
    can_be_cloned,
    takes_labels_of_any_kind,
    predicts_each_image_independently,
    learns_features_if_it_says_so,
    scores_each_number_of_layers,
    learns_the_features_of_its_task,
)
