"""Draw NFM and AGOP of the first convolution, and their eigenvectors as patches."""

from ansatz import figures, pictures
from ansatz.feature_matrices import correlation, read
from ansatz.job import job

EIGENVECTORS = 8

with job(snakemake.log[0]):
    by_kind = read(snakemake.input.features)
    first = {kind.upper(): next(iter(by_layer.values())) for kind, by_layer in by_kind.items()}
    dense = {kind: matrix.dense()[0].numpy() for kind, matrix in first.items()}
    vectors = {kind: pictures.eigenvectors(matrix, EIGENVECTORS)[1].numpy() for kind, matrix in first.items()}
    matrices, eigenvectors = snakemake.output[:2], snakemake.output[2:]  # each as .png and .svg
    figures.save(figures.heat_maps(dense, correlation(*first.values())), *matrices)
    figures.save(figures.patches(vectors), *eigenvectors)
