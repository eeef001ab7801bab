"""Train one network from one initializer and one seed."""

from ansatz import feature_matrices
from ansatz.batches import on_device
from ansatz.devices import take_device
from ansatz.initializers import initialize
from ansatz.job import job
from ansatz.networks import build
from ansatz.provenance import provenance
from ansatz.store import read_dataset, write_json, write_metrics
from ansatz.training import Checkpoint, Protocol, evaluate_best, train

with job(snakemake.log[0]):
    params, run_of = dict(snakemake.params), dict(snakemake.wildcards)
    protocol, seed = Protocol(**params["protocol"]), int(run_of["seed"])
    data = read_dataset(snakemake.input.dataset)
    features = snakemake.input.get("features")
    network = build(**params["network"], classes=len(data.classes), seed=seed)
    matrices = feature_matrices.read(features) if features else None
    initialize(network, run_of["initializer"], seed=seed, matrices=matrices, **params["covariance"])
    key = (params, run_of, data.fingerprint)
    checkpoint = Checkpoint.of(snakemake.params.checkpoint, network, *key, code=snakemake.input.library)
    device = take_device(**params["device"], threads=snakemake.threads)
    images = on_device(data, **params["images"], device=device)
    where = {"checkpoint": checkpoint, "compiled": params["compiled"]}
    run = train(network, images, protocol, seed=seed, **where, title="/".join(run_of.values()))
    outcome = run.summary(evaluate_best(network, run, images, protocol))
    write_metrics(snakemake.output.metrics, run.rows)
    made = provenance(**params)
    write_json(snakemake.output.summary, {**run_of, "seed": seed, **outcome, "device": str(device), **made})
    checkpoint.clear()
