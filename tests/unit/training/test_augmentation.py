"""Augmented images against a plain loop over them, and what they depend on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ansatz.errors import UserError
from ansatz.seeds import derive_seed
from ansatz.training import trainer
from ansatz.training.augmentation import augmented_batches, draw_moves, moved
from ansatz.training.config import Augmentation, TrainingConfig
from ansatz.training.trainer import Trainer
from made_images import made_images, made_network

BOTH = Augmentation(flip=True, crop=3)


def plainly_moved(image, flip, down, right):
    """Return an image of NumPy, (channels, height, width), moved pixel by pixel."""
    image = image[:, :, ::-1] if flip else image
    result = np.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result


@given(
    n=st.integers(1, 5),
    channels=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    crop=st.integers(0, 10),
    flip=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_images_are_moved_as_by_a_plain_loop(n, channels, height, width, crop, flip, seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, channels, height, width))
    moves = draw_moves(n, Augmentation(flip=flip, crop=crop), seed)
    expected = np.stack([plainly_moved(image, *move) for image, move in zip(images, moves.tolist(), strict=True)])
    np.testing.assert_array_equal(moved(torch.from_numpy(images), moves, crop), expected)


def test_flips_are_even_and_shifts_uniform():
    """Of 7,000 images, each of 7 shifts is drawn 1,000 times, with a standard deviation of 29."""
    moves = draw_moves(7000, BOTH, seed=0)
    assert set(moves[:, 0].tolist()) == {0, 1}
    assert moves[:, 0].double().mean() == pytest.approx(0.5, abs=0.03)
    for shifts in moves[:, 1:].mT:
        values, counts = shifts.unique(return_counts=True)
        assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
        assert counts.tolist() == pytest.approx([1000] * 7, abs=150)
    assert np.abs(np.corrcoef(moves.mT)[np.triu_indices(3, 1)]).max() < 0.06
    assert torch.equal(draw_moves(7000, Augmentation(flip=True), seed=0)[:, 0], moves[:, 0]), "flips without shifts"
    assert not draw_moves(100, Augmentation(crop=3), seed=0)[:, 0].any()


def by_image(images, size, order, augment=BOTH):
    config = TrainingConfig(batch_size=size, augment=augment)
    batches = augmented_batches(images, order, config, seed=5)
    return dict(zip(order.tolist(), torch.cat([x for x, _ in batches]), strict=True))


def test_what_is_drawn_for_an_image_depends_on_no_batches_order_or_streaming():
    images, streamed = made_images(train=23)["train"], made_images(train=23, memory=64)["train"]
    assert streamed.pool.nbytes > streamed.memory
    expected = by_image(images, 23, torch.arange(23))
    assert by_image(images, 23, torch.arange(23), Augmentation())[0].ne(expected[0]).any()
    for parts, size in ((images, 4), (streamed, 4), (images, 1)):
        for number, x in by_image(parts, size, torch.randperm(23)[:20]).items():
            assert torch.equal(x, expected[number])


def test_augmented_images_are_channels_last_with_their_labels():
    images = made_images(train=23)["train"]
    order = torch.randperm(23)
    batches = list(augmented_batches(images, order, TrainingConfig(batch_size=10, augment=BOTH), seed=0))
    assert [x.shape for x, _ in batches] == [(10, 1, 8, 8), (10, 1, 8, 8), (3, 1, 8, 8)]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x, _ in batches)
    assert torch.equal(torch.cat([y for _, y in batches]), images.labels[order])
    assert not list(augmented_batches(images, order[:0], TrainingConfig(augment=BOTH), seed=0))


def test_training_images_alone_are_augmented_anew_in_each_epoch_and_alike_for_a_seed(monkeypatch):
    seeds = []

    def recorded(images, order, config, *, seed):
        assert images is parts["train"]
        seeds.append(seed)
        return augmented_batches(images, order, config, seed=seed)

    monkeypatch.setattr(trainer, "augmented_batches", recorded)
    parts = made_images(train=20, validation=10)
    config = TrainingConfig(epochs=2, batch_size=8, augment=BOTH)
    for _ in range(2):
        Trainer(made_network(), parts, config, seed=3).train()
    assert seeds == 2 * [derive_seed(3, "augmentation", epoch) for epoch in (1, 2)]
    assert len(set(seeds)) == 2


def test_images_stay_in_sight():
    parts = made_images(train=20)
    Trainer(made_network(), parts, TrainingConfig(augment=Augmentation(crop=7)), seed=0)
    with pytest.raises(UserError, match=r"^a: augment\.crop: 8, but images have 8 px; it must be below 8$"):
        Trainer(made_network(), parts, TrainingConfig(augment=Augmentation(crop=8)), seed=0, title="a")


def test_a_mapping_is_an_augmentation():
    assert TrainingConfig(augment={"flip": True, "crop": 3}) == TrainingConfig(augment=BOTH)
