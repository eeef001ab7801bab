"""Draw what machines have learned: the leading eigenvectors of their first layers' matrices, and what layers look at.

Below an eigenvector stands the share of its eigenvalue in the trace.
"""

import torch

from ansatz.features.matrix import FeatureMatrix, eigenvectors
from ansatz.files.learned import read_learned
from ansatz.job import job
from ansatz.reporting.figures.matrices import patches
from ansatz.reporting.figures.saliency import machine_saliency
from ansatz.reporting.figures.style import placeholder, save
from ansatz.reporting.machines import read_declared

EIGENVECTORS = 8

with job(snakemake.log[0]):
    params, files = snakemake.params, snakemake.output
    machines = read_declared(params.machines)
    learned = {
        machine.title: features
        for machine, features in zip(machines.values(), map(read_learned, snakemake.input.learned), strict=True)
        if features.matrices
    }
    vectors, shares = {}, {}
    for title, features in learned.items():
        layer, dense = next(iter(features.matrices.items()))
        matrix = FeatureMatrix.of(torch.from_numpy(dense).double(), features.shapes[layer])
        values, leading = eigenvectors(matrix, EIGENVECTORS)
        vectors[title], shares[title] = leading.numpy(), (values / matrix.trace()).numpy()
    nothing = placeholder("no machine has learned features")
    eigenvectors = patches(vectors, shares) if learned else nothing
    maps = machine_saliency(learned) if learned else nothing
    save(eigenvectors, files.eigenvectors_png, files.eigenvectors_vector, style=params.style)
    save(maps, files.saliency_png, files.saliency_vector, style=params.style)
