"""Kernels of images and their AGOPs computed from their definitions, and random images on which to compare them."""

import itertools
import math

import numpy as np
import torch
from hypothesis import strategies as st
from sklearn.datasets import load_sample_images
from torch.nn.functional import unfold

from ansatz.machines.cntk import CNTK
from ansatz.machines.laplace import Laplace

STRAIGHT = 1e-13  # patches are parallel where 1 - cos² is smaller: their angle then consists of rounding errors


def patches_of(image, kernel, factor):
    """Return the patches of one image, position by position, each flattened by channel, row and column."""
    size, padding = kernel.patch_size, kernel.padding
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = (side - size + 1 for side in padded.shape[1:])
    actual = [[padded[:, r : r + size, c : c + size].reshape(-1) for c in range(columns)] for r in range(rows)]
    return np.array(actual if factor is None else [[factor @ patch for patch in row] for row in actual])


def window_sums(q, size):
    rows, columns = (side - size + 1 for side in q.shape)
    return np.array([[q[r : r + size, c : c + size].sum() for c in range(columns)] for r in range(rows)])


def relu_expectations(q12, q11, q22):
    """Return 2 E[relu(u) relu(v)] and 2 E[relu'(u) relu'(v)], by the angle between u and v (Cho and Saul, 2009)."""
    lengths = math.sqrt(q11 * q22)
    if lengths == 0:
        angle = math.pi / 2
    elif lengths**2 - q12**2 <= STRAIGHT * lengths**2:
        angle = 0 if q12 > 0 else math.pi
    else:
        angle = math.acos(q12 / lengths)
    dual = lengths * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
    return dual, (math.pi - angle) / math.pi


def cntk_by_definition(v, w, kernel):
    q12, q11, q22 = (v * w).sum(2), (v * v).sum(2), (w * w).sum(2)
    expectations = np.vectorize(relu_expectations)
    tangent, (dual, slope) = q12, expectations(q12, q11, q22)
    for _ in range(1, kernel.depth):
        of_itself = expectations(q11, q11, q11)[0], expectations(q22, q22, q22)[0]
        q12, q11, q22 = (window_sums(q, kernel.patch_size) for q in (dual, *of_itself))
        tangent = window_sums(tangent * slope, kernel.patch_size) + q12
        dual, slope = expectations(q12, q11, q22)
    return (dual + tangent * slope if kernel.tangent else dual).mean()


def laplace_by_definition(v, w, kernel):
    positions = itertools.product(*map(range, v.shape[:2]))
    return sum(math.exp(-math.dist(v[position], w[position]) / kernel.bandwidth) for position in positions)


def by_definition(kernel, x, z, factor):
    """Compute the kernel pair by pair, position by position."""
    scale = 1 if isinstance(kernel, Laplace) else x.shape[1]
    of_pair = laplace_by_definition if isinstance(kernel, Laplace) else cntk_by_definition
    v, w = ([patches_of(image, kernel, factor) / math.sqrt(scale) for image in images] for images in (x, z))
    return np.array([[of_pair(one, other, kernel) for other in w] for one in v])


@st.composite
def cases(draw, integers=None):
    """A kernel, images x and z that fit it, and a factor or none; integers have blank, equal and parallel patches."""
    size, padding, depth = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(1, 3))
    kernel = draw(
        st.sampled_from(
            [
                CNTK(depth, size, padding),
                CNTK(depth, size, padding, tangent=False),
                Laplace(draw(st.sampled_from([0.5, 3.0, 10.0])), size, padding),
            ]
        )
    )
    least = max(1, 1 + kernel.depth * (size - 1) - 2 * padding)
    shape = draw(st.integers(1, 3)), least + draw(st.integers(0, 3)), least + draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    integers = draw(st.booleans()) if integers is None else integers

    def images(count):
        if not integers:
            return torch.tensor(rng.standard_normal((count, *shape)))
        blank = rng.random((count, 1, 1, 1)) < 0.2
        return torch.tensor(np.where(blank, 0.0, rng.integers(-1, 3, (count, *shape))))

    x, z = (images(draw(st.integers(1, 3))) for _ in "xz")
    patch = shape[0] * size**2
    rank = draw(st.sampled_from([None, 1, 3, patch]))
    return kernel, x, z, None if rank is None else torch.tensor(rng.standard_normal((rank, patch)))


def assert_near(actual, expected, tolerance):
    """Compare to what is largest; opposite patches have a kernel and gradients of 0, or of roundings of 1e-16."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * float(expected.abs().max()) + 1e-15)


# ------------------------------------------------------------------------------------------------- its derivatives
def relu_pairs(q12, q11, q22):
    """Return `relu_expectations` of arrays, for autograd; where the angle has no derivative it is a constant."""
    square = q11 * q22 - q12**2
    straight = square <= STRAIGHT * q11 * q22
    cosine = q12 / torch.where(straight, 1.0, q11 * q22).sqrt()
    angle = torch.acos(torch.where(straight, 0.0, cosine))  # a right one where a patch is blank
    angle = torch.where(straight & (q12 > 0), 0.0, torch.where(straight & (q12 < 0), math.pi, angle))
    sine = torch.where(straight, 0.0, torch.where(straight, 1.0, square).sqrt())  # times the lengths
    slope = 1 - angle / math.pi
    return sine / math.pi + slope * q12, slope


def differentiable(kernel, v, w):
    """Compute the kernel of patches (n, rows, columns, rank) and those of one image, (rows, columns, rank)."""
    q12, q11, q22 = (v * w).sum(3), (v * v).sum(3), (w * w).sum(2).expand(v.shape[:3])
    if isinstance(kernel, Laplace):
        square = (v - w).square().sum(3)
        apart = square > STRAIGHT * (q11 + q22)
        distance = torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0)
        return (-distance / kernel.bandwidth).exp().sum((1, 2))
    window = torch.ones(1, 1, kernel.patch_size, kernel.patch_size, dtype=v.dtype)
    tangent, (dual, slope) = q12, relu_pairs(q12, q11, q22)
    for _ in range(1, kernel.depth):
        q12, q11, q22, tangent = (
            torch.conv2d(q.unsqueeze(1), window).squeeze(1) for q in (dual, q11, q22, tangent * slope)
        )
        tangent = tangent + q12
        dual, slope = relu_pairs(q12, q11, q22)
    return (dual + tangent * slope if kernel.tangent else dual).mean((1, 2))


def all_patches(kernel, images):
    """Return the patches of images, (n, rows, columns, patch)."""
    rows, columns = (side + 2 * kernel.padding - kernel.patch_size + 1 for side in images.shape[2:])
    return unfold(images, kernel.patch_size, padding=kernel.padding).mT.unflatten(1, (rows, columns))


def least_angle(kernel, x, samples, factor):
    """Return the smallest squared sine between patches at the same position that is more than rounding."""
    v, w = (all_patches(kernel, images) for images in (x, samples))
    v, w = (each if factor is None else each @ factor.mT for each in (v, w))
    lengths = v.square().sum(3).unsqueeze(1) * w.square().sum(3)  # (n, m, rows, columns)
    sines = 1 - torch.einsum("nrcp,mrcp->nmrc", v, w).square() / torch.where(lengths > 0, lengths, math.inf)
    return float(torch.where(sines > STRAIGHT, sines, 1.0).min())


def agop_by_definition(kernel, x, alphas, samples, factor):
    """Differentiate the predictor by each patch, and average outer products of the gradients."""

    def predictor(sample):
        v, w = (each if factor is None else each @ factor.mT for each in (all_patches(kernel, x), sample))
        if not isinstance(kernel, Laplace):
            v, w = v / math.sqrt(x.shape[1]), w / math.sqrt(x.shape[1])
        return alphas.mT @ differentiable(kernel, v, w)

    gradients = [torch.autograd.functional.jacobian(predictor, sample) for sample in all_patches(kernel, samples)]
    return sum(torch.einsum("crkp,crkq->pq", one, one) for one in gradients) / len(samples)


def photographs():
    """Return crops of a photograph, many of whose patches are nearly equal: (10, 3, 12, 12), twice."""
    photograph = load_sample_images().images[0].transpose(2, 0, 1) / 255
    crops = [photograph[:, r : r + 12, c : c + 12] for r in range(0, 400, 100) for c in range(0, 600, 120)]
    return torch.tensor(np.array(crops)).split(10)
