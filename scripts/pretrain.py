"""Train a network that feature matrices are taken from."""

from ansatz.batches import on_device
from ansatz.devices import take_device
from ansatz.initializers import initialize
from ansatz.job import job
from ansatz.networks import build, save_weights
from ansatz.provenance import provenance
from ansatz.store import read_dataset, write_json, write_metrics
from ansatz.training import Checkpoint, Protocol, evaluate, train

with job(snakemake.log[0]):
    params, seed = dict(snakemake.params), snakemake.params.seed
    data = read_dataset(snakemake.input.dataset, parts=params["parts"])
    network = build(**params["network"], classes=len(data.classes), seed=seed)
    initialize(network, **params["initializer"], seed=seed)
    checkpoint = Checkpoint.of(params["checkpoint"], network, params, data.fingerprint, code=snakemake.input.library)
    device = take_device(**params["device"], threads=snakemake.threads)
    images = on_device(data, **params["images"], device=device)
    where = {"checkpoint": checkpoint, "compiled": params["compiled"]}
    protocol, title = Protocol(**params["protocol"]), params["title"]
    run = train(network, images, protocol, seed=seed, **where, title=title)
    run.refuse_diverged(title, checkpoint)
    write_metrics(snakemake.output.metrics, run.rows)
    test_accuracy = evaluate(network, images["test"], protocol)[1] if "test" in images else None
    outcome = {"validation_accuracy": run.rows[-1].get("validation_accuracy"), **run.summary(test_accuracy)}
    write_json(snakemake.output.summary, {"dataset": data.name, **outcome, **provenance(**params)})
    save_weights(network, snakemake.output.weights)
    checkpoint.clear()
