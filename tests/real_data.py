"""Where the real archives are, if they are, and what they are."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARCHIVES = Path(os.environ.get("ANSATZ_ARCHIVES", ROOT.parent / "shared" / "data"))

# Subsets of the published archives, as ARCHIVES holds them; other copies are given by their own checksums.
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
