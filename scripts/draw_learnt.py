"""Draw the leading eigenvectors of the first layer's matrices of machines, and what their layers let through.

Below an eigenvector stands the share of its eigenvalue in their sum.
"""

import torch

from ansatz import figures, machine_figures, pictures
from ansatz.feature_matrices import FeatureMatrix
from ansatz.job import job
from ansatz.store import read_learnt

EIGENVECTORS = 8

with job(snakemake.log[0]):
    found = [read_learnt(path) for path in snakemake.input.learnt]
    learnt = {machine: one for machine, one in zip(snakemake.params.machines, found, strict=True) if one.matrices}
    shown, vectors, shares = machine_figures.machine_looks(learnt), {}, {}
    for machine, one in learnt.items():
        first = next(iter(one.matrices))
        matrix = FeatureMatrix.of(torch.from_numpy(one.matrices[first]).double(), one.shapes[first])
        name = shown[machine].name
        values, leading = pictures.eigenvectors(matrix, EIGENVECTORS)
        vectors[name], shares[name] = leading.numpy(), (values / matrix.trace()).numpy()
    nothing, files = figures.note("no machine has learnt features"), snakemake.output
    eigenvectors = figures.patches(vectors, shares) if learnt else nothing
    figures.save(eigenvectors, files.eigenvectors_png, files.eigenvectors_svg)
    figures.save(machine_figures.looks(learnt) if learnt else nothing, files.looks_png, files.looks_svg)
