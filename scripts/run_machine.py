"""Fit a machine to a task and test it."""

import time

import pandas as pd

from ansatz import registry
from ansatz.devices import take_device
from ansatz.files.dataset import read_dataset
from ansatz.files.learned import write_learned
from ansatz.files.tables import write_csv
from ansatz.job import job
from ansatz.machines.estimator import ImageClassifier
from ansatz.machines.scores import learned_features, scores
from ansatz.machines.task import Task
from ansatz.provenance import provenance

SHOWN = 6  # test images

with job(snakemake.log[0], definitions=snakemake.input.definitions) as log:
    params, run = dict(snakemake.params), dict(snakemake.params.run)
    task, machine = params["task"], params["machine"]
    data = read_dataset(snakemake.input.dataset) if snakemake.input.dataset else None
    sizes = (task["train"], task["test"], task["seed"])
    images = registry.find("task", task["name"]).make(Task, data, *sizes, **task["options"])
    device = take_device(**params["device"], threads=snakemake.threads)
    job_options = {"device": str(device), "memory": params["memory"], "random_state": task["seed"]}
    fitted = registry.find("machine", machine["name"]).make(ImageClassifier, **machine["options"], **job_options)
    start = time.perf_counter()
    fitted.fit(images.x_train, images.y_train, images.x_test, images.y_test)
    run |= {"seconds": time.perf_counter() - start, "train": len(images.y_train), "test": len(images.y_test)}
    rows = [run | row for row in scores(fitted, images.x_test, images.y_test)]
    log.info("%s: test accuracy %s", machine["name"], ", ".join(f"{row['accuracy']:.2%}" for row in rows))
    write_csv(snakemake.output.history, pd.DataFrame(fitted.history_))
    write_csv(snakemake.output.scores, pd.DataFrame(rows))
    write_learned(snakemake.output.learned, learned_features(fitted, images.x_test[:SHOWN]), provenance(**params))
