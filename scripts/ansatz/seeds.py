"""Independent random streams from one seed.

Each purpose (a layer's filters, the order of images in an epoch, its dropout masks) draws from a stream of its own. So
batches do not depend on the initializer, and a resumed run draws the same numbers as an uninterrupted one.
"""

import zlib

import numpy as np


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """Return the seed of a stream.

    Parameters
    ----------
    seed : int
        The seed of the run, at least 0.
    purpose : str
        The purpose of the numbers, such as ``"filters"``.
    index : int
        The number of the layer or epoch, if the purpose has a stream for each.

    Returns
    -------
    int
        A seed below 2**63, as ``torch.Generator.manual_seed`` takes it.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), index])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
