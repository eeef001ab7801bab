"""Train a network, and record snapshots of it if the rule asks for them."""

from ansatz.data.batches import on_device
from ansatz.data.splits import read_split
from ansatz.devices import take_device
from ansatz.features.evolution import Snapshots
from ansatz.files.evolution import write_evolution
from ansatz.files.results import write_results
from ansatz.initializers.initial import initial_network
from ansatz.job import job
from ansatz.networks.weights import save_weights
from ansatz.provenance import provenance
from ansatz.training.checkpoint import Checkpoint
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from ansatz.training.tuning import read_choice

files, output, params = snakemake.input, snakemake.output, snakemake.params
with job(snakemake.log[0], definitions=files.definitions):
    data = read_split(files.dataset, params.parts, **params.split)
    training = params.training | (read_choice(files.chosen) if files.chosen else {})
    settings = {**dict(params), "training": training}
    device = take_device(**params.device, threads=snakemake.threads)
    images = on_device(data, **params.images, device=device)
    shown = {"images": images["train"], "classes": len(data.classes)}
    network = initial_network(**params.start, **shown, features=files.features)
    key = {"code": [*files.library, *files.definitions]}
    checkpoint = Checkpoint.of(params.checkpoint, network, settings, data.fingerprint, **key)
    snapshots = Snapshots.of(network, images, **params.snapshots) if params.snapshots else None
    options = {"checkpoint": checkpoint, "compile_cache": params.compiled, "title": params.title}
    options |= {"seed": params.start["seed"], "snapshots": snapshots}
    trainer = Trainer(network, images, TrainingConfig(**training), **options)
    run, made = trainer.train(), provenance(**settings)
    if weights := output.get("weights"):
        save_weights(trainer.network_of(params.keep_weights), weights)
    summary = trainer.summarize(params.evaluate)
    write_results(output.metrics, output.summary, run.rows, {**params.run, **summary, "device": str(device), **made})
    if snapshots:
        write_evolution(output.evolution, snapshots.collect(network, run.snapshots, params.run["experiment"]), made)
    checkpoint.clear()
