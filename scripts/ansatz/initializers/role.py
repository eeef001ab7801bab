"""What a layer is in an attention."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Role:
    """What a layer is in an attention.

    Attributes
    ----------
    name : str
        ``q``, ``k``, ``v`` or ``out``.
    heads : int
    generator : torch.Generator
        Yields the same numbers for the queries and the keys of an attention, and for its values and outputs.
    """

    name: str
    heads: int
    generator: torch.Generator
