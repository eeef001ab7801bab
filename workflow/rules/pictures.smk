"""
Needs: the tables beside the pictures in results/published/ours/. Makes: these pictures, which README.md and
results/published/README.md show.
"""

OURS = "results/published/ours"
# HDF5 files are too large to be kept with the code: what is drawn from them is drawn again where they have been made.
PUBLISHED_EVOLUTIONS = {
    "mnist": "results/ansatz/evolution/lenet5/mnist/seed0/evolution.h5",
    "transformers": "results/transformers/evolution/vit/mnist/seed0/evolution.h5",
}
PUBLISHED_TABLES = {
    "ansatz/layers": ["ansatz/tidy.csv"],
    "cifar10/activations": ["cifar10/activations.csv"],
    "cifar10/differences": ["cifar10/table.csv"],
    "cifar10/learning_rates": ["cifar10/tuning.csv"],
    "fair/accuracy": ["fair/tidy.csv"],
    "fair/differences": ["fair/table.csv"],
    "fair/learning_rates": ["fair/tuning.csv"],
    "fair/speed": ["fair/speed.csv"],
    "iteration/generations": ["iteration/generations_learned.csv", "iteration/generations_features.csv"],
    "transfer/alignment": ["transfer/alignment.csv"],
    "transfer/transfer": ["transfer/transfer.csv"],
    "transformers/differences": ["transformers/table.csv"],
    "transformers/heads": ["transformers/ansatz.csv"],
    "transformers/layers": ["transformers/ansatz.csv"],
    "transformers/learning_rates": ["transformers/tuning.csv"],
    "transformers/powers": ["transformers/ansatz.csv"],
}
PUBLISHED = {
    **{picture: [f"{OURS}/{table}" for table in tables] for picture, tables in PUBLISHED_TABLES.items()},
    "mnist/correlation": [PUBLISHED_EVOLUTIONS["mnist"]],
    "mnist/nfm": [PUBLISHED_EVOLUTIONS["mnist"]],
    "mnist/outputs": [PUBLISHED_EVOLUTIONS["mnist"]],
    "transformers/correlation": [PUBLISHED_EVOLUTIONS["transformers"]],
}  # picture -> what it shows


rule draw_published:
    input:
        shown=lambda wildcards: PUBLISHED[wildcards.picture],
        library=library("draw_published.py"),
    output:
        png=f"{OURS}/{{picture}}.png",
    log:
        f"{LOGS}/draw_published/{{picture}}.log",
    wildcard_constraints:
        picture="|".join(PUBLISHED),
    conda:
        TABLES
    message:
        "Draw {wildcards.picture} again"
    script:
        "../../scripts/draw_published.py"


rule pictures:
    input:
        [f"{OURS}/{picture}.png" for picture, files in PUBLISHED.items() if all(Path(file).exists() for file in files)],
    message:
        "Complete the pictures of README.md and results/published/README.md"
