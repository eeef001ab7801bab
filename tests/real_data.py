"""Real archives, where they are at hand: the published ones, or subsets of them."""

import os
from pathlib import Path

from ansatz.data.archives import configured_archives
from ansatz.files.hashing import checksum

ROOT = Path(__file__).parents[1]
ARCHIVES = Path(os.environ.get("ANSATZ_ARCHIVES", ROOT.parent / "shared" / "data"))

# Checksums of subsets of the published archives in ARCHIVES; empty where the whole archives are there.
SUBSETS = {
    "cifar10": "add295bdac3c028e41a2a0d60b7d2edbfb54d4e9c7090b0828c3376592d1132d",
    "cifar100": "49ca5ece627f63edd0f60407d43ed4a1b34fa6098863de5a932f463fee65682e",
    "tiny_imagenet": "5cbb748fa13a7a8cbe7c09fe8a564c548be608163b5d5fee7b1e7dcf9069b9bd",
    "svhn": {
        "train_32x32.mat": "a8183bd504fe4f681482471d05d6ee10144244ad20a65cea4f94a665addda29b",
        "test_32x32.mat": "b623d1b4e6124585a718b6c44feb22c46a2c24926f3d4f36d164152b0ed07518",
    },
    "mnist": "",
}

# Images for training, validation and test in these archives.
SIZES = {
    "mnist": [48_000, 12_000, 10_000],
    "cifar10": [8_000, 2_000, 2_000],
    "cifar100": [3_600, 900, 1_000],
    "svhn": [706, 177, 200],
    "tiny_imagenet": [8_000, 2_000, 2_000],
}


def at_hand(name):
    """Return whether ARCHIVES holds the archives of a dataset, the published ones or the subsets of SUBSETS."""
    for archive in configured_archives(name, sha256=SUBSETS.get(name, "")):
        copies = [folder / archive.file for folder in (ARCHIVES / name, ARCHIVES) if (folder / archive.file).is_file()]
        algorithm = "md5" if len(archive.sha256) == 32 else "sha256"
        if not copies or checksum(copies[0], algorithm) != archive.sha256:
            return False
    return True
