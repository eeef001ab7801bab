"""Let a machine learn a task, and be tested on it."""

import time

import pandas as pd

from ansatz.devices import take_device
from ansatz.job import job
from ansatz.machines import MACHINES, learnt, scores
from ansatz.provenance import provenance
from ansatz.store import read_dataset, write_csv, write_learnt
from ansatz.tasks import TASKS

SHOWN = 6  # test images

with job(snakemake.log[0]) as log:
    params, known = dict(snakemake.params), dict(snakemake.wildcards)
    data = read_dataset(snakemake.input.dataset) if snakemake.input.dataset else None
    task = TASKS[params["task"]](data, **params["images"])
    device = take_device(**params["device"], threads=snakemake.threads)
    place = {"device": str(device), "memory": params["memory"], "random_state": params["images"]["seed"]}
    machine = MACHINES[known["machine"]](params["options"] | place)
    start = time.perf_counter()
    machine.fit(task.x_train, task.y_train, task.x_test, task.y_test)
    known |= {"seconds": time.perf_counter() - start, "train": len(task.y_train), "test": len(task.y_test)}
    rows = [known | row for row in scores(machine, task.x_test, task.y_test)]
    log.info("%s: test accuracy %s", known["machine"], ", ".join(f"{row['accuracy']:.2%}" for row in rows))
    write_csv(snakemake.output.history, pd.DataFrame(machine.history_))
    write_csv(snakemake.output.scores, pd.DataFrame(rows))
    write_learnt(snakemake.output.learnt, learnt(machine, task.x_test[:SHOWN]), provenance(**params))
