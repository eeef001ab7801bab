"""Pictures are read as images for a network."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from ansatz.data import pictures
from ansatz.errors import UserError
from ansatz.files.dataset import Part

PART = Part(np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4), np.array([0, 1]))


def test_the_middle_of_a_picture_is_read(tmp_path):
    wide = np.zeros((4, 10, 3), np.uint8)
    wide[:, 3:7] = [200, 100, 0]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.swapaxes(0, 1)).save(tmp_path / "high.png")
    for path in (tmp_path / "wide.png", str(tmp_path / "high.png")):
        square = pictures.read_image(path, size=4, channels=3)
        assert square.dtype == torch.uint8
        assert square.tolist() == [[[[colour] * 4] * 4 for colour in (200, 100, 0)]]
    assert pictures.read_image(path, size=6, channels=3).shape == (1, 3, 6, 6)


def test_a_picture_is_smoothed_where_it_shrinks_and_grey_for_one_channel(tmp_path):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    grey = pictures.read_image(tmp_path / "stripes.png", size=4, channels=1)
    assert grey.shape == (1, 1, 4, 4)
    assert (grey.int() - 127).abs().max() < 20


def test_a_picture_is_turned_as_its_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves = np.zeros((4, 4, 3), np.uint8)
    halves[:2] = 255
    Image.fromarray(halves).save(tmp_path / "turned.png", exif=exif)
    turned = pictures.read_image(tmp_path / "turned.png", size=4, channels=1)
    assert turned[0, 0, :, 0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("name", pictures.PHOTOGRAPHS)
def test_two_photographs_need_no_file(name):
    photograph = pictures.read_image(name, size=64, channels=3)
    assert photograph.shape == (1, 3, 64, 64)
    assert photograph.float().std() > 30


def test_what_is_no_picture_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(UserError, match=rf"{name}: not an image that can be decoded \(.*\)$") as caught:
            pictures.read_image(tmp_path / name, size=4, channels=3)
        assert "\n" not in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match=r"pipe.png: is no regular file$"):
        pictures.read_image(tmp_path / "pipe.png", size=4, channels=3)


def test_a_number_is_an_image_of_the_dataset():
    image = pictures.read_image(1, PART, size=4, channels=3)
    np.testing.assert_array_equal(image.numpy(), PART.images[1:])
    grey = Part(PART.pool[:, :1], PART.labels)
    np.testing.assert_array_equal(pictures.read_image(0, grey, size=4, channels=1).numpy(), grey.images[:1])
    assert pictures.read_image(0, grey, size=4, channels=3).shape == (1, 3, 4, 4)
    with pytest.raises(UserError, match="pictures: there is no training image 2; there are 2, numbered from 0"):
        pictures.read_image(2, PART, size=4, channels=3)
