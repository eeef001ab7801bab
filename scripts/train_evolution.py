"""Train a network, and look at its features on the way."""

from ansatz import evolution
from ansatz.batches import on_device
from ansatz.devices import take_device
from ansatz.initializers import initialize
from ansatz.job import job
from ansatz.networks import build
from ansatz.provenance import provenance
from ansatz.store import read_dataset, write_evolution, write_json, write_metrics
from ansatz.training import Checkpoint, Protocol, Watch, train

with job(snakemake.log[0]):
    params, name = dict(snakemake.params), snakemake.wildcards.experiment
    data = read_dataset(snakemake.input.dataset)
    network = build(**params["network"], classes=len(data.classes), seed=params["seed"])
    initialize(network, **params["initializer"], seed=params["seed"])
    checkpoint = Checkpoint.of(params["checkpoint"], network, params, data.fingerprint, code=snakemake.input.library)
    images = on_device(data, **params["images"], device=take_device(**params["device"], threads=snakemake.threads))
    protocol, layers = Protocol(**params["protocol"]), evolution.chosen(network, params["layers"])
    how = {key: params[key] for key in ("sample", "estimator", "image")}
    watch = Watch(evolution.observer(layers, images, **how), params["steps"])
    where = {"checkpoint": checkpoint, "compiled": params["compiled"]}
    run = train(network, images, protocol, seed=params["seed"], **where, watch=watch, title=name)
    run.refuse_diverged(f"evolution.{name}", checkpoint)
    seen = evolution.gather(network, run.records, data.parts["validation"].images[params["image"]], name)
    made = provenance(**params, data=data.name)
    write_evolution(snakemake.output.evolution, seen, made)
    write_metrics(snakemake.output.metrics, run.rows)
    write_json(snakemake.output.summary, {"dataset": data.name, **run.summary(None), **made})
    checkpoint.clear()
