"""Small versions of ImageNet."""

from pathlib import Path

import numpy as np

from ansatz.data.archives import reading, unpack
from ansatz.data.decoding import decode_images
from ansatz.data.raw import RawDataset, whole
from ansatz.files.dataset import Part
from ansatz.files.pools import OnDisk
from ansatz.registry import dataset


@dataset(
    "http://cs231n.stanford.edu",
    {"tiny-imagenet-200.zip": "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"},
    images="100,000 + – + 10,000",
    classes=200,
    pixels="64",
)
def tiny_imagenet(folder: Path) -> RawDataset:
    """Tiny ImageNet: things and animals.

    Its labelled folder ``val`` is the test part, as the labels of its folder ``test`` were never published.
    """
    unpack(folder / "tiny-imagenet-200.zip", folder)
    root = folder / "tiny-imagenet-200"
    wnids = (root / "wnids.txt").read_text(encoding="utf-8").split()
    words = dict(line.split("\t", 1) for line in (root / "words.txt").read_text(encoding="utf-8").splitlines())
    label = {wnid: index for index, wnid in enumerate(sorted(wnids))}
    train = [(path, label[path.parent.parent.name]) for path in sorted((root / "train").glob("*/images/*.JPEG"))]
    annotations = [
        line.split("\t") for line in (root / "val" / "val_annotations.txt").read_text(encoding="utf-8").splitlines()
    ]
    test = [(root / "val" / "images" / file, label[wnid]) for file, wnid, *_ in annotations]
    return RawDataset([words[wnid].split(",")[0] for wnid in label], decode_images(train), test=decode_images(test))


@dataset(
    "https://image-net.org/data/downsample",
    {
        "Imagenet32_train_npz.zip": "3e3d1b7ddb901d59d1fbcba69b3676fa",
        "Imagenet32_val_npz.zip": "0300f7a8c5de0c82fb6fc6092b4858ed",
    },
    images="1,281,167 + – + 50,000",
    classes=1000,
    pixels="32",
)
def imagenet32(folder: Path) -> RawDataset:
    """ImageNet 32x32: things and animals, downsampled; needs 8 GB in ``TMPDIR``, twice the size of its pixels.

    The classes are numbered from 1 as published (Chrabaszcz et al., 2017), not in the order of torchvision's weights.
    """
    parts = {}
    for part in ("train", "val"):
        unpack(archive := folder / f"Imagenet32_{part}_npz.zip", folder / part)
        with reading(archive):
            batches = [np.load(batch) for batch in sorted((folder / part).rglob("*.npz"))]
            images = OnDisk(batch["data"].reshape(-1, 3, 32, 32) for batch in batches)
            labels = np.concatenate([batch["labels"] for batch in batches])
        parts[part] = Part(images, whole(labels) - 1)
    return RawDataset([str(number) for number in range(1, 1001)], parts["train"], test=parts["val"])
