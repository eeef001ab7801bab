"""One seed, many independent random streams.

Each purpose (a layer's filters, the order of an epoch, its dropout masks) draws from a stream of its own, so that
no initializer moves another's batches, and a resumed run meets the numbers it would have met.
"""

import zlib

import numpy as np


def stream(seed: int, purpose: str, index: int = 0) -> int:
    """Return the seed of one stream.

    Parameters
    ----------
    seed : int
        The run's seed, at least 0.
    purpose : str
        What the numbers are for, such as ``"filters"``.
    index : int
        Which of the purpose's streams: the layer, or the epoch.

    Returns
    -------
    int
        A seed below 2**63, as ``torch.Generator.manual_seed`` takes it.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), index])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
