"""Kernels whose elementwise operations are fused by PyTorch's compiler."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch.fx.experimental import _config as symbolic_shapes

from ansatz.machines.kernels import Kernel


class _Compiled:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.values, self.derivatives = _fused(kernel.values), _fused(kernel.derivatives)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def __reduce__(self) -> tuple[Any, ...]:  # compiled code cannot be pickled; it is compiled again
        return _Compiled, (self.kernel,)


def _fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of q12, q11 and q22 once for tiles of all sizes.

    By default the compiler assumes that sides of equal length are the same number, and compiles again where they are
    not, where strides differ, and for tiles with a side of one image, which are too small to benefit.
    """
    fused = torch.compile(function, dynamic=True)

    def call(q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> Any:
        if 1 in q12.shape[2:]:
            return function(q12, q11, q22)
        with cast(Any, symbolic_shapes).patch(use_duck_shape=False):
            return fused(q12, q11.contiguous(), q22.contiguous())

    return call


def compiled(kernel: Kernel) -> Kernel:
    """Return the kernel with its operations fused by PyTorch's compiler, which requires a C compiler.

    Otherwise a GPU writes and reads each intermediate result. On the CPU they stay in the cache, and compiling gains
    nothing.
    """
    return cast(Kernel, _Compiled(kernel))
