"""Draw NFM and AGOP of the first layer, and their eigenvectors as patches."""

from ansatz.features.alignment import correlation
from ansatz.features.matrix import eigenvectors
from ansatz.features.stored import read_matrices
from ansatz.files.features import OF_SOURCES
from ansatz.job import job
from ansatz.reporting.figures.matrices import heat_maps, patches
from ansatz.reporting.figures.style import save

EIGENVECTORS = 8

with job(snakemake.log[0]):
    files, style = snakemake.output, snakemake.params.style
    by_kind = read_matrices(snakemake.input.features)
    first = {kind.upper(): next(iter(by_kind[kind].values())) for kind in OF_SOURCES}
    dense = {kind: matrix.dense()[0].numpy() for kind, matrix in first.items()}
    pairs = {kind: eigenvectors(matrix, EIGENVECTORS) for kind, matrix in first.items()}
    vectors = {kind: leading.numpy() for kind, (_, leading) in pairs.items()}
    shares = {kind: (values / first[kind].trace()[0]).numpy() for kind, (values, _) in pairs.items()}
    save(heat_maps(dense, correlation(*first.values())), files.matrices_png, files.matrices_vector, style=style)
    save(patches(vectors, shares), files.eigenvectors_png, files.eigenvectors_vector, style=style)
