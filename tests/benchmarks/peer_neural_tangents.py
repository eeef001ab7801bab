"""The kernel and the AGOP by neural-tangents, for `benchmarks.kernels`; run by a Python of its own, which has no torch.

    python -I peer_neural_tangents.py FOLDER DEPTH PATCH_SIZE published|compiled

``published`` is how the authors of ConvRFM call it: patches side by side for the kernel too, in the blocks of
`nt.batch`, and gradients that are not compiled. ``compiled`` is the fastest way found: plain images for the kernel, and
all in compiled blocks.

FOLDER/case.npz has x (n, channels, height, width), alphas (n, outputs) and samples, in float32; the kernel and the AGOP
go to FOLDER/found.npz, and a line of JSON to the output: the seconds of each, and the bytes that both took at most.
"""

import json
import os
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# neural-tangents imports this part of itself, which imports TensorFlow; nothing here is in it
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import neural_tangents as nt  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402

PUBLISHED_BLOCK = 100  # images
BLOCK = 25  # images; on a CPU no slower than 10, 20 or 50, nor than `nt.batch`


def network(depth: int, size: int, stride: int) -> Callable:
    """Return the tangent kernel of convolutions without padding or bias, and a linear read-out of all positions."""
    layers = []
    for layer in range(depth):
        strides = (stride, stride) if layer == 0 else (1, 1)
        layers += [
            stax.Conv(1, (size, size), strides, "VALID", W_std=size, b_std=0),  # a sum over size x size positions
            stax.ABRelu(0, 2**0.5),
        ]
    *_, kernel = stax.serial(*layers, stax.Flatten(), stax.Dense(1, W_std=1))
    return lambda x, z: kernel(x, z, "ntk")


def kernel_matrix(kernel: Callable, x: np.ndarray) -> np.ndarray:
    """Return the kernel of all pairs of images, block by block."""
    found = np.empty((len(x), len(x)), x.dtype)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(x), BLOCK):
            found[i : i + BLOCK, j : j + BLOCK] = kernel(x[i : i + BLOCK], x[j : j + BLOCK])
    return found


def expanded(x: np.ndarray, size: int) -> np.ndarray:
    """Lay all patches out side by side, (n, rows * size, columns * size, channels): no pixel is in two."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    n, rows, columns, channels = windows.shape[:4]
    return windows.transpose(0, 1, 4, 2, 5, 3).reshape(n, rows * size, columns * size, channels)


def batched(kernel: Callable, x: np.ndarray, size: int) -> np.ndarray:
    """Return the kernel of all pairs of images, in the library's own blocks."""
    block = max(number for number in range(1, PUBLISHED_BLOCK + 1) if len(x) % number == 0)
    patches = expanded(x, size)
    return np.asarray(nt.batch(kernel, batch_size=block, store_on_device=False)(patches, patches))


def gradient_of(kernel: Callable) -> Callable:
    """Return the function that differentiates an output by the samples, as far as it comes from some images."""

    def output(sample: jax.Array, x: jax.Array, alpha: jax.Array) -> jax.Array:
        return (alpha @ kernel(x, sample[None]))[0]

    return jax.vmap(jax.grad(output), (0, None, None))


def predictor_agop(
    gradient: Callable, x: np.ndarray, alphas: np.ndarray, samples: np.ndarray, size: int, block: int
) -> np.ndarray:
    """Return the mean over samples of the gradients' outer products, a patch in the order channel, row, column."""
    x, samples = expanded(x, size), expanded(samples, size)
    n, height, width, channels = samples.shape
    total = np.zeros((channels * size**2,) * 2, x.dtype)
    for alpha in alphas.T:
        blocks = range(0, len(x), block)
        by_pixels = np.asarray(sum(gradient(samples, x[i : i + block], alpha[i : i + block]) for i in blocks))
        by_pixels = by_pixels.reshape(n, height // size, size, width // size, size, channels)
        by_patches = by_pixels.transpose(0, 1, 3, 5, 2, 4).reshape(-1, len(total))
        total += by_patches.T @ by_patches
    return total / n


def peak() -> int:
    """Bytes of the process at most so far."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def main(folder: Path, depth: int, size: int, way: str) -> None:
    case = np.load(folder / "case.npz")
    x, samples = (np.ascontiguousarray(case[name].transpose(0, 2, 3, 1)) for name in ("x", "samples"))
    alphas = case["alphas"]
    jnp.zeros(1).block_until_ready()  # starts what computes
    before = peak()  # as `benchmarks.measure.mark`

    compiled = way == "compiled"
    kernel, all_pairs = network(depth, size, size), partial(batched, size=size)
    gradient, block = gradient_of(kernel), len(x)
    if compiled:
        kernel, all_pairs = jax.jit(network(depth, size, 1)), kernel_matrix
        gradient, block = jax.jit(gradient), BLOCK
        kernel_matrix(kernel, x[:BLOCK])  # compiles
    start = time.perf_counter()
    matrix = all_pairs(kernel, x)
    seconds = time.perf_counter() - start

    if compiled:
        predictor_agop(gradient, x[:BLOCK], alphas[:BLOCK, :1], samples, size, block)
    start = time.perf_counter()
    agop = predictor_agop(gradient, x, alphas, samples, size, block)
    found = {"kernel": seconds, "AGOP": time.perf_counter() - start, "memory": peak() - before}

    np.savez(folder / "found.npz", kernel=matrix, AGOP=agop)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
