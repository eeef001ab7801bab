"""Machines with one layer: ridge regression with a kernel, and ConvRFMs, which learn a feature matrix."""

from typing import Annotated, Any

from annotated_types import Interval

from ansatz.machines.cntk import CNTK
from ansatz.machines.convrfm import ConvRFM
from ansatz.machines.laplace import Laplace
from ansatz.registry import machine

Iterations = Annotated[int, Interval(ge=1, le=100)]  # at least one, so that features are learned
OF_FEATURES = ("iterations", "sample_size", "sampling", "power", "threshold", "trace", "agop_ridge", "final_m")


def kernel_machine(kernel: str, **options: Any) -> ConvRFM:
    """Return a ConvRFM; options that are not its parameters are passed to the kernel."""
    names = ConvRFM._get_param_names()
    parameters = {name: value for name, value in options.items() if name in names}
    own = {name: value for name, value in options.items() if name not in names}
    return ConvRFM(kernel, **parameters, kernel_options=own or None)


@machine(
    options_of=(CNTK, ConvRFM),
    without=("kernel", "kernel_options", "tangent", *OF_FEATURES),
    title="CNTK",
    baseline=True,
)
def cntk(**options: Any) -> ConvRFM:
    """Kernel ridge regression with the CNTK."""
    return kernel_machine("cntk", iterations=0, **options)


@machine(options_of=(CNTK, ConvRFM), without=("kernel", "kernel_options", "tangent", *OF_FEATURES), title="NNGP")
def nngp(**options: Any) -> ConvRFM:
    """Kernel ridge regression with the NNGP."""
    return kernel_machine("nngp", iterations=0, **options)


@machine(options_of=(Laplace, ConvRFM), without=("kernel", "kernel_options", "depth", *OF_FEATURES), title="Laplace")
def laplace(**options: Any) -> ConvRFM:
    """Kernel ridge regression with the Laplace kernel of patches."""
    return kernel_machine("laplace", iterations=0, **options)


@machine(options_of=ConvRFM, without=("kernel_options",), title="ConvRFM", learns_features=True)
def convrfm(*, kernel: str = "cntk", iterations: Iterations = 3, **options: Any) -> ConvRFM:
    """ConvRFM with the CNTK or another kernel.

    Parameters
    ----------
    kernel : str
        Name of the kernel of patches.
    iterations : int
        How many times the AGOP is computed.
    """
    return kernel_machine(kernel, iterations=iterations, **options)


@machine(
    options_of=(Laplace, ConvRFM),
    without=("kernel", "kernel_options", "depth"),
    title="ConvRFM, Laplace",
    learns_features=True,
)
def convrfm_laplace(*, iterations: Iterations = 3, **options: Any) -> ConvRFM:
    """ConvRFM with the Laplace kernel of patches.

    Parameters
    ----------
    iterations : int
        How many times the AGOP is computed.
    """
    return kernel_machine("laplace", iterations=iterations, **options)
