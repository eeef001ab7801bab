"""Event files of TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from ansatz.export.study import Study
from ansatz.registry import exporter


@exporter(view="tensorboard --logdir {folder}")
def tensorboard(study: Study, folder: Path) -> None:
    """Write the event files of each run into a folder of its place."""
    for run in study.runs:
        with SummaryWriter(folder / run.place) as writer:
            for epoch in run.epochs:
                for name, value in epoch.metrics.items():
                    writer.add_scalar(name, value, epoch.number, walltime=epoch.ended)
            writer.add_hparams({**run.parameters, **run.tags}, dict(run.outcome), run_name=".")
