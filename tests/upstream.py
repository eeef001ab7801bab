"""Small archives in the layouts in which datasets are published, and what is to be read from them."""

import gzip
import io
import shutil
import struct

import h5py
import numpy as np
from PIL import Image

UPSTREAM = {}
RNG = np.random.default_rng(0)


def upstream(make):
    """Register what fills a folder with a small copy of a dataset's archives; it returns what is to be read from them.

    That is the classes, and for each part images and labels.
    """
    UPSTREAM[make.__name__] = make
    return make


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def write_idx(path, array):
    path.parent.mkdir(exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, {"uint8": 8, "int32": 12}[array.dtype.name], array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(array.dtype.newbyteorder(">")).tobytes()))


def drawn(path, file_format="PNG"):
    """Write a picture of any size, without loss whatever the ending says, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = noise(*RNG.integers(30, 50, 2), 3)
    Image.fromarray(pixels).save(path, file_format)
    return pixels


def squares(pictures, size):
    return np.stack([np.asarray(Image.fromarray(p).resize((size, size))).transpose(2, 0, 1) for p in pictures])


@upstream
def fashion_mnist(folder):
    parts = {}
    for part, prefix in {"train": "train", "test": "t10k"}.items():
        images, labels = noise(5, 28, 28), np.array([9, 0, 3, 1, 1], np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
        parts[part] = images[:, None], labels
    kinds = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    return kinds, parts


@upstream
def emnist(folder):
    parts = {}
    for part in ("train", "test"):
        upright, labels = noise(5, 28, 28), np.array([0, 46, 10, 35, 36], np.uint8)
        write_idx(folder / f"gzip/emnist-balanced-{part}-images-idx3-ubyte.gz", upright.transpose(0, 2, 1))
        write_idx(folder / f"gzip/emnist-balanced-{part}-labels-idx1-ubyte.gz", labels)
        parts[part] = upright[:, None], labels
    (folder / "gzip/emnist-letters-train-images-idx3-ubyte.gz").write_text("another split: not to be read")
    shutil.make_archive(str(folder / "gzip"), "zip", folder, "gzip")
    return list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"), parts


@upstream
def qmnist(folder):
    parts = {}
    for part in ("train", "test"):
        images, labels = noise(5, 28, 28), RNG.integers(0, 10, (5, 8), np.int32)
        write_idx(folder / f"qmnist-{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"qmnist-{part}-labels-idx2-int.gz", labels)
        parts[part] = images[:, None], labels[:, 0]
    return list("0123456789"), parts


@upstream
def stl10(folder):
    kinds = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    root = folder / "stl10_binary"
    root.mkdir()
    (root / "class_names.txt").write_text("\n".join(kinds) + "\n")
    parts = {}
    for part in ("train", "test"):
        parts[part] = images, labels = noise(3, 3, 96, 96), np.array([9, 0, 4], np.uint8)
        images.transpose(0, 1, 3, 2).tofile(root / f"{part}_X.bin")  # column by column
        (labels + 1).tofile(root / f"{part}_y.bin")
    shutil.make_archive(str(root), "gztar", folder, "stl10_binary")
    return kinds, parts


@upstream
def pcam(folder):
    parts = {}
    for part, name in {"train": "train", "validation": "valid", "test": "test"}.items():
        images, labels = noise(4, 96, 96, 3), np.array([1, 0, 0, 1], np.uint8)
        for axis, array in {"x": images, "y": labels[:, None, None, None]}.items():
            packed = io.BytesIO()
            with h5py.File(packed, "w") as file:
                file[axis] = array
            archive = folder / f"camelyonpatch_level_2_split_{name}_{axis}.h5.gz"
            archive.write_bytes(gzip.compress(packed.getvalue()))
        parts[part] = images.transpose(0, 3, 1, 2), labels
    return ["normal", "tumour"], parts


@upstream
def gtsrb(folder):
    train, test, tree = [*range(43), 42], [42, 0], folder / "tree"
    kept = [drawn(tree / f"a/GTSRB/Training/{sign:05}/00000_{i:05}.ppm", "PPM") for i, sign in enumerate(train)]
    shown = [drawn(tree / f"b/GTSRB/Final_Test/Images/{i:05}.ppm", "PPM") for i in range(len(test))]
    rows = [f"{i:05}.ppm;50;50;5;5;45;45;{sign}" for i, sign in enumerate(test)]
    (tree / "c").mkdir()
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    (tree / "c/GT-final_test.csv").write_text("\n".join([header, *rows]) + "\n")
    for part, name in {"a": "GTSRB-Training_fixed", "b": "GTSRB_Final_Test_Images", "c": "GTSRB_Final_Test_GT"}.items():
        shutil.make_archive(str(folder / name), "zip", tree / part)
    return [str(sign) for sign in range(43)], {"train": (squares(kept, 32), train), "test": (squares(shown, 32), test)}


@upstream
def dtd(folder):
    parts, root = {}, folder / "dtd"
    (root / "labels").mkdir(parents=True)
    for part, name in {"train": "train", "validation": "val", "test": "test"}.items():
        files = [f"{kind}/{kind}_{name}.jpg" for kind in ("zigzagged", "banded")]
        (root / f"labels/{name}1.txt").write_text("".join(f"{file}\n" for file in files))
        parts[part] = squares([drawn(root / "images" / file) for file in files], 64), [1, 0]
    shutil.make_archive(str(folder / "dtd-r1.0.1"), "gztar", folder, "dtd")
    return ["banded", "zigzagged"], parts


@upstream
def fgvc_aircraft(folder):
    parts, root = {}, folder / "fgvc-aircraft-2013b/data"
    variants = ["707-320", "Cessna 172"]
    root.mkdir(parents=True)
    (root / "variants.txt").write_text("".join(f"{variant}\n" for variant in variants))
    for part, name in {"train": "train", "validation": "val", "test": "test"}.items():
        pictures = [drawn(root / f"images/{name}{label}.jpg") for label in (1, 0)]
        lines = [f"{name}{label} {variants[label]}\n" for label in (1, 0)]
        (root / f"images_variant_{name}.txt").write_text("".join(lines))
        parts[part] = squares([picture[:-20] for picture in pictures], 64), [1, 0]
    shutil.make_archive(str(folder / "fgvc-aircraft-2013b"), "gztar", folder, "fgvc-aircraft-2013b")
    return variants, parts


@upstream
def imagenet32(folder):
    parts = {"train": (noise(5, 3, 32, 32), [0, 999, 1, 2, 2]), "test": (noise(2, 3, 32, 32), [7, 0])}
    for part, batches in {"train": 2, "test": 1}.items():
        images, labels = parts[part]
        name = part.replace("test", "val")
        (folder / name).mkdir()
        for batch, rows in enumerate(np.array_split(np.arange(len(images)), batches), 1):
            stored = {"data": images[rows].reshape(len(rows), -1), "labels": np.array(labels)[rows] + 1}
            np.savez(folder / name / f"{name}_data_batch_{batch}", **stored, mean=np.zeros(3072))
        shutil.make_archive(str(folder / f"Imagenet32_{name}_npz"), "zip", folder / name)
    return [str(number) for number in range(1, 1001)], parts


@upstream
def caltech101(folder):
    kinds = ["Faces", "accordion", "BACKGROUND_Google"]
    pictures = [drawn(folder / f"101_ObjectCategories/{kind}/image_{i:04}.jpg") for kind in kinds for i in (1, 2)]
    inside = folder / "tree/caltech-101"
    shutil.make_archive(str(inside / "101_ObjectCategories"), "gztar", folder, "101_ObjectCategories")
    shutil.make_archive(str(folder / "caltech-101"), "zip", inside.parent)
    return kinds[:2], {"train": (squares(pictures[:4], 64), [0, 0, 1, 1])}
