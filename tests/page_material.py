"""What the page of results is made of: tables, snapshots and pictures of a study whose runs are drawn, not trained."""

import json

import numpy as np
import pandas as pd

from ansatz.files.evolution import Evolution, LayerEvolution, write_evolution
from ansatz.files.tables import ALIGNMENT, SCORES, write_csv
from ansatz.reporting import generations, initialization, speed, transfer
from ansatz.reporting.evolution import PAIRS
from ansatz.reporting.figures.matrices import heat_maps
from ansatz.reporting.figures.style import save

BASELINE = "kaiming_normal"
INITIALIZERS = (BASELINE, "orthogonal", "nfm@digits", "nfm@letters", "kaiming_nfm@digits", "kaiming_nfm@letters")
DRAWN = {
    label: {"kind": label.partition("@")[0], "source": label.partition("@")[2], "seen": None}
    for label in INITIALIZERS
    if "@" in label
}
MACHINES = {
    "cntk": {"title": "CNTK", "baseline": True},
    "convrfm": {"title": "ConvRFM", "learns_features": True},
}
CONFIGURATION = {
    "name": "mine",
    "datasets": {"digits": {}, "letters": {}},
    "initialization": {
        "network": {"name": "vgg11", "width": 0.125},
        "initializers": [*INITIALIZERS],
        "seeds": [0, 1, 2],
    },
    "ansatz": {},
    "evolution": {},
    "kernels": {},
}


def study(datasets=("digits", "letters"), initializers=INITIALIZERS, seeds=3, epochs=5):
    """Return the tables of a study: ``tidy``, as tidy.csv, and ``runs``, as runs.csv."""
    generator = np.random.default_rng(0)
    rows = []
    for dataset in datasets:
        for number, initializer in enumerate(initializers):
            for seed in range(seeds):
                rates = 0.9 - 0.02 * number + generator.normal(0, 0.01)
                accuracy = rates * (1 - np.exp(-np.arange(1, epochs + 1) / (1 + 0.2 * number)))
                rows += [
                    {"dataset": dataset, "initializer": initializer, "seed": seed, "epoch": epoch, "status": "ok"}
                    | {"images": 1000 * epoch, "validation_accuracy": value, "train_accuracy": value + 0.02}
                    | {"train_eval_accuracy": value + 0.03, "validation_loss": 1.1 - value, "train_loss": 1 - value}
                    | {"train_eval_loss": 0.9 - value, "learning_rate": 0.01, "chance": 0.45}
                    for epoch, value in enumerate(accuracy, 1)
                ]
    tidy = pd.DataFrame(rows)
    runs = tidy.groupby(["dataset", "initializer", "seed"], sort=False, as_index=False).agg(
        epochs=("epoch", "max"), best_epoch=("epoch", "max"), best_validation_accuracy=("validation_accuracy", "max")
    )
    return tidy, runs.assign(status="finished", test_accuracy=np.nan, device="cpu", seconds=60.0)


def initialization_material(folder, **options):
    """Write the tables of a study and what describes it, and return them by the names of the page's inputs."""
    tidy, runs = study(**options)
    keys = ["dataset", "initializer", "seed"]
    table = initialization.summarize(runs, BASELINE)
    published = pd.DataFrame({"initializer": [BASELINE], "digits": [78.7]})
    speeds = speed.by_run(tidy, BASELINE)
    rates = pd.concat([runs[keys].assign(learning_rate=rate) for rate in (0.001, 0.01, 0.1)])
    layers = pd.concat([runs[runs.seed == 0][keys].assign(layer=f"features.{number}", std=1.5) for number in range(3)])
    tables = {
        "table": initialization.with_published(table, published, []),
        "tidy": tidy,
        "runs": runs,
        "resources": runs[keys].assign(seconds=70.0, training_seconds=60.0, memory_mb=900.0, gpu_seconds=0.0),
        "speed": speeds,
        "activations": layers,
        "tuning": rates.assign(
            status="finished", best_validation_accuracy=0.5 + rates.learning_rate, chosen=rates.learning_rate == 0.1
        ),
    }
    if set(DRAWN) <= set(runs.initializer):
        tables["transfer"] = transfer.tabulate(table, speeds, DRAWN)
    material = written(folder, tables)
    material["logs"] = [f"logs/train/{row.dataset}/{row.initializer}/{row.seed}.log" for row in runs.itertuples()]
    summary = folder / "summary.json"
    summary.write_text(json.dumps({"commit": "0123456789abcdef", "versions": {"torch": "2.13.0"}, "machine": "Linux"}))
    return material | {"summaries": [str(summary)]}


def source_material(folder):
    """Write what two sources hold, the second of which starts from the first."""
    tidy, runs = study()
    speeds = speed.by_run(tidy, BASELINE)
    spectra = pd.DataFrame(
        [
            {"source": source, "kind": kind, "layer": layer, "shape": "3x3x3", "effective_rank": 4.2}
            | {"index": index, "eigenvalue": 0.5**index}
            for source in ("digits", "letters")
            for kind in ("nfm", "agop")
            for layer in ("features.0", "features.3")
            for index in range(1, 80)
        ]
    )
    alignment = pd.DataFrame(
        [("digits", "letters", kind, layer, 0.5) for kind in ("nfm", "agop") for layer in ("features.0", "features.3")],
        columns=["source", "other", "kind", "layer", "correlation"],
    )
    chains = {"letters": ["digits", "letters"]}
    drawing = [{"initializer": label, "source": own["source"], "kind": own["kind"]} for label, own in DRAWN.items()]
    tables = {
        "learned": generations.learned(runs, speeds, chains, drawing),
        "features": generations.features(spectra, alignment, chains),
    }
    material = {"generations": list(written(folder, tables).values())}
    return material | written(folder, {"spectra": spectra, "alignment": alignment})


def ansatz_material(folder):
    """Write the correlations of two networks, one of which has heads, and a picture."""
    generator = np.random.default_rng(0)
    measured = [name for name in ALIGNMENT if name.startswith(("correlation_", "cosine_", "power_"))]
    rows = [
        {"experiment": variant, "variant": variant, "dataset": "digits", "seed": 0, "layer": layer, "head": head}
        | {"shape": "3x3", "validation_accuracy": 0.9, "test_accuracy": np.nan}
        | {name: generator.uniform(-1, 1) for name in measured}
        for variant in ("cnn", "vit")
        for layer in ("blocks.0.q", "blocks.0.k", "blocks.1.q", "blocks.1.k")
        for head in ((np.nan, 1, 2) if variant == "vit" else (np.nan,))
    ]
    picture = folder / "first_layer_matrices.png"
    save(heat_maps({"NFM": np.eye(4)}), picture)
    return written(folder, {"correlations": pd.DataFrame(rows)}) | {"ansatz_pictures": [str(picture)]}


def evolution_material(folder, snapshots=6):
    """Write the snapshots of a training."""
    generator = np.random.default_rng(0)
    curves = {"epoch": np.arange(snapshots, dtype=float), "step": 50 * np.arange(snapshots)}
    names = [f"{part}_{measure}" for part in ("train_eval", "validation") for measure in ("loss", "accuracy")]
    layers = {
        f"features.{number}": LayerEvolution(
            generator.normal(size=(snapshots, 4, 3, 3, 3)),
            generator.normal(size=(snapshots, 1, 4, 27)),
            generator.normal(size=(snapshots, 4, 6, 6)),
            {pair: generator.random(snapshots) for pair in PAIRS},
        )
        for number in range(2)
    }
    path = folder / "evolution.h5"
    image = np.zeros((3, 6, 6), np.uint8)
    write_evolution(path, Evolution(curves | {name: generator.random(snapshots) for name in names}, layers, image), {})
    return {"evolutions": [str(path)]}


def kernel_material(folder):
    """Write the scores of two machines."""
    rows = [
        ("bars", "bars", noise, machine, seed, layers, 0.7 + 0.1 * layers + 0.01 * seed - 0.05 * noise, 10, 10, 1.0)
        for noise in (0.5, 2.0)
        for machine, layers in (("cntk", 0), ("convrfm", 1))
        for seed in range(3)
    ]
    return written(folder, {"scores": pd.DataFrame(rows, columns=SCORES)}) | {"machines": MACHINES}


def everything(folder):
    """Return the material of all sections."""
    parts = (initialization_material, source_material, ansatz_material, evolution_material, kernel_material)
    material = {"configuration": CONFIGURATION}
    for part in parts:
        material |= part(folder)
    return material


def written(folder, tables):
    """Write tables, and return the path of each."""
    paths = {name: str(folder / f"{name}.csv") for name in tables}
    for name, table in tables.items():
        write_csv(paths[name], table)
    return paths
