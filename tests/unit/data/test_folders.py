"""A user's own images, and every way in which their folders can be wrong."""

import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ansatz.data.prepare import prepare
from ansatz.errors import UserError
from ansatz.files.dataset import read_dataset
from ansatz.networks.build import build
from own_images import picture


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def prepared(source, tmp_path, **options):
    prepare("mine", source, tmp_path / "dataset.h5", own=True, **options)
    return read_dataset(tmp_path / "dataset.h5")


def test_a_folder_of_classes(flowers, tmp_path):
    data = prepared(flowers, tmp_path)
    assert data.classes == ("rose", "tulip")
    assert data.parts["train"].images.shape == (8, 3, 4, 6)
    assert len(data.parts["validation"]) == 2
    roses = data.parts["train"].images[data.parts["train"].labels == 0]
    assert (roses[:, 0] == 200).all()


@pytest.mark.parametrize("held_out", [("val", "test"), ("val",), ("test",)])
def test_a_tree_of_parts(flowers, tmp_path, held_out):
    tree = tmp_path / "tree"
    shutil.copytree(flowers, tree / "train")
    for part in held_out:
        shutil.copytree(flowers, tree / part)
    data = prepared(tree, tmp_path)
    expected = {"train": 10 if "val" in held_out else 8, "validation": 10 if "val" in held_out else 2}
    assert {name: len(part) for name, part in data.parts.items()} == expected | (
        {"test": 10} if "test" in held_out else {}
    )


@pytest.mark.parametrize("inside", ["", "flowers", "a/b"])
def test_a_zip(flowers, tmp_path, inside):
    with zipfile.ZipFile(tmp_path / "flowers.zip", "w") as packed:
        packed.writestr("__MACOSX/x", "")
        for path in flowers.rglob("*.png"):
            packed.write(path, Path(inside, path.relative_to(flowers)))
    assert len(prepared(tmp_path / "flowers.zip", tmp_path).parts["train"]) == 8


def test_sizes_and_modes(flowers, tmp_path):
    picture(flowers / "rose" / "large.png", size=(50, 20), mode="L")
    with pytest.raises(UserError, match=r"large.png: 50x20 pixels, but 0.png has 6x4; give the dataset a size"):
        prepared(flowers, tmp_path)
    assert prepared(flowers, tmp_path, size=5).parts["train"].images.shape[1:] == (3, 5, 5)


def break_image(root):
    (root / "rose" / "2.png").write_bytes((root / "rose" / "2.png").read_bytes()[:40])


def break_text(root):
    (root / "rose" / "2.png").write_text("no image")


def empty_class(root):
    (root / "violet").mkdir()


def no_classes(root):
    shutil.rmtree(root)
    root.mkdir()


def no_folder(root):
    shutil.rmtree(root)


def too_few(root):
    for kind in ("rose", "tulip"):
        for i in range(1, 5):
            (root / kind / f"{i}.png").unlink()


def one_class(root):
    shutil.rmtree(root / "rose")


def deep(root):
    Image.fromarray(np.full((4, 6), 30000, np.uint16)).save(root / "rose" / "2.png")


def deep_colours(root):
    """48 bits a pixel, of which Pillow keeps 24; it cannot write such a file."""
    header = struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(6 * 6)) * 4)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    (root / "rose" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def deep_tiff(root):
    """Another file whatever its name ends in; three channels of 16 bits in its directory."""
    picture(root / "rose" / "2.tiff")
    (root / "rose" / "2.png").unlink()
    content = (root / "rose" / "2.tiff").read_bytes()
    eight = struct.pack("<HHH", 8, 8, 8)
    assert content.count(eight) == 1
    padded = content.replace(eight, struct.pack("<HHH", 16, 16, 16)) + bytes(200)
    (root / "rose" / "2.tiff").write_bytes(padded)


def deep_ppm(root):
    (root / "rose" / "2.png").unlink()
    (root / "rose" / "2.ppm").write_bytes(b"P6 6 4 65535\n" + bytes(6 * 4 * 6))


def postscript(root):
    (root / "rose" / "2.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\nshowpage\n")


def pipe(root):
    os.mkfifo(root / "rose" / "a.png")


def link_to_nothing(root):
    (root / "rose" / "a.png").symlink_to(root / "absent.png")


def loop(root):
    (root / "rose" / "more").symlink_to(root)


def mutual_loop(root):
    (root / "rose" / "more").symlink_to(root / "tulip")
    (root / "tulip" / "more").symlink_to(root / "rose")


def latin(root):
    (root / os.fsdecode(b"ros\xe9e")).mkdir()


def bomb(root):
    Image.new("1", (20000, 20000)).save(root / "rose" / "2.png")


def capitals(root):
    shutil.copytree(root, root.parent / "copy")
    no_classes(root)
    shutil.copytree(root.parent / "copy", root / "Train")


def validation(root):
    capitals(root)
    (root / "Train").rename(root / "train")
    (root / "validation").mkdir()


def other_classes(root):
    extra_class(root)
    (root / "train").rename(root / "rest")
    (root / "test").rename(root / "train")
    (root / "rest").rename(root / "test")


def extra_class(root):
    capitals(root)
    (root / "Train").rename(root / "train")
    shutil.copytree(root / "train", root / "test")
    shutil.copytree(root / "test" / "rose", root / "test" / "violet")


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (break_image, "rose/2.png: not an image that can be decoded"),
        (break_text, "rose/2.png: not an image that can be decoded"),
        (empty_class, "flowers: no images in violet; their names must end in .bmp, "),
        (
            no_classes,
            "flowers: contains neither folders nor images; at least two classes are required, each a folder of images",
        ),
        (one_class, "flowers: contains only one folder, tulip; at least two classes are required"),
        (deep, "rose/2.png: has more than 8 bits per channel"),
        (deep_colours, "rose/2.png: has more than 8 bits per channel"),
        (deep_tiff, "rose/2.tiff: has more than 8 bits per channel"),
        (deep_ppm, "rose/2.ppm: has more than 8 bits per channel"),
        (postscript, "rose/2.png: not an image that can be decoded"),
        (pipe, "rose/a.png: is no regular file"),
        (link_to_nothing, "rose/a.png: links to nothing; remove the link"),
        (loop, "flowers/rose/more: links to a folder that contains it"),
        (mutual_loop, "flowers/rose/more/more: links to a folder that contains it"),
        (latin, r"flowers: the name of the folder b'ros\xe9e' is not UTF-8; rename it"),
        (bomb, "rose/2.png: not an image that can be decoded (Image size"),
        (capitals, "flowers: contains Train; parts must be called train, and val or test or both"),
        (validation, "flowers: contains train, validation; parts must be called train"),
        (extra_class, "test: has images of violet, which train does not have"),
        (no_folder, "flowers: not a folder of images, nor a .zip of one"),
        (too_few, "datasets.mine: 2 images cannot be split 80/20; at least 3 are required"),
        (other_classes, "test: has no images of violet, which train has"),
    ],
)
def test_bad_folders_are_named_in_one_line(flowers, tmp_path, harm, expected):
    harm(flowers)
    with pytest.raises(UserError) as caught:
        prepared(flowers, tmp_path)
    assert expected in one_line(caught)
    assert not (tmp_path / "dataset.h5").exists()


def test_images_without_classes_are_of_one(flowers, tmp_path):
    (flowers / "rose" / ".hidden.png").write_text("no image")
    data = prepared(flowers / "rose", tmp_path)
    assert data.classes == ("unlabelled",)
    assert {part: len(images) for part, images in data.parts.items()} == {"train": 4, "validation": 1}
    with pytest.raises(UserError, match="all images belong to one class") as caught:
        build("vgg11", len(data.classes), seed=0)
    one_line(caught)


def test_what_systems_leave_in_folders_is_passed_over(flowers, tmp_path, caplog):
    (flowers / ".ipynb_checkpoints").mkdir()
    (flowers / "__MACOSX").mkdir()
    (flowers / "rose" / "._0.png").write_text("resource fork")
    (flowers / "rose" / "notes.txt").write_text("mine")
    picture(flowers / "rose" / ".thumbnails" / "0.png")
    with caplog.at_level("INFO"):
        assert prepared(flowers, tmp_path).classes == ("rose", "tulip")
    assert "skipped 1 files without an image extension, such as" in caplog.text


def test_a_bad_zip_is_named(flowers, tmp_path):
    (tmp_path / "flowers.zip").write_bytes(b"PK\3\4 and nothing more")
    with pytest.raises(UserError, match=r"flowers.zip: not a complete zip or tar archive"):
        prepared(tmp_path / "flowers.zip", tmp_path)
    break_image(flowers)
    shutil.make_archive(str(tmp_path / "flowers"), "zip", flowers)
    with pytest.raises(UserError, match=r"flowers.zip/rose/2.png: not an image"):
        prepared(tmp_path / "flowers.zip", tmp_path)
