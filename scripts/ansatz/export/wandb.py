"""Runs of Weights & Biases, in its offline format."""

import os
from pathlib import Path

os.environ["WANDB_ERROR_REPORTING"] = "false"  # it would send them

from wandb import Settings, init, teardown

from ansatz.export.study import Study
from ansatz.registry import exporter


@exporter(view="wandb sync {folder}/wandb/offline-run-*")
def wandb(study: Study, folder: Path) -> None:
    """Write a folder for each run; nothing is sent before ``wandb sync`` is called."""
    settings = Settings(
        mode="offline",
        silent=True,
        console="off",
        symlink=False,  # to where the last run is being written
        x_disable_machine_info=True,  # this machine need not be the one that trained
        x_save_requirements=False,
    )
    for run in study.runs:
        logged = init(
            project=study.name,
            name=run.place,
            group=run.group,
            id=run.tags["fingerprint"][:16],  # the same after another export, so that it is not there twice
            config={**run.parameters, **run.tags},
            dir=folder,
            settings=settings,
        )
        for epoch in run.epochs:
            logged.log(dict(epoch.metrics), step=epoch.number)
        logged.summary.update(dict(run.outcome))
        logged.finish()
    teardown()  # the process that writes
