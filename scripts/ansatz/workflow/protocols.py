"""Protocols: what besides the configuration decides how the study is run."""

from dataclasses import dataclass, field
from typing import Any, Literal

ProtocolName = Literal["ansatz", "released"]


@dataclass(frozen=True)
class Protocol:
    """A protocol of the study.

    Attributes
    ----------
    scaling : str
        How feature matrices become covariances of filters: one of `ansatz.initializers.scaling.COVARIANCE_SCALINGS`.
    head : dict or None
        ``outputs``, the number of logits of each network whatever the dataset, and ``std``, the standard deviation of
        the linear layers' weights, whose biases are 0. None for a logit per class, and PyTorch's default.
    estimator : dict
        How the AGOP of sources is computed, where that differs from what the configuration says.
    """

    scaling: str = "trace"
    head: dict[str, Any] | None = None
    estimator: dict[str, Any] = field(default_factory=dict)


PROTOCOLS: dict[ProtocolName, Protocol] = {
    "ansatz": Protocol(),
    # The study's code: for every dataset, torchvision's VGG11 keeps its 1000 outputs and its own classifier; AGOP is
    # the sum over 11 images and the first 10 logits.
    "released": Protocol(
        scaling="released",
        head={"outputs": 1000, "std": 0.01},
        estimator={"sample_size": 11, "probes": None, "outputs": 10, "reduction": "sum"},
    ),
}
