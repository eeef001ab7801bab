"""MLflow's tracking store, an SQLite file."""

import os
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it would send that functions were called
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from ansatz.export.study import Run, Study
from ansatz.registry import exporter

AT_ONCE = 1000  # metrics that MLflow takes


@exporter(view="mlflow server --backend-store-uri sqlite:///{folder}/mlflow.db")
def mlflow(study: Study, folder: Path) -> None:
    """Write ``mlflow.db``, with an experiment of the study's name that holds its runs."""
    client = MlflowClient(f"sqlite:///{folder.resolve()}/mlflow.db")
    experiment = client.create_experiment(study.name)
    for run in study.runs:
        logged = client.create_run(experiment, milliseconds(run.started), run_name=run.place).info.run_id
        params = [Param(name, str(value)) for name, value in run.parameters.items()]
        client.log_batch(logged, params=params, tags=[RunTag(name, value) for name, value in run.tags.items()])
        metrics = metrics_of(run)
        for start in range(0, len(metrics), AT_ONCE):
            client.log_batch(logged, metrics[start : start + AT_ONCE])
        client.set_terminated(logged, "FAILED" if run.diverged else "FINISHED", milliseconds(run.ended))


def metrics_of(run: Run) -> list[Metric]:
    """Return the metrics of each epoch, and after them the outcome."""
    epochs = [
        Metric(name, value, milliseconds(epoch.ended), epoch.number)
        for epoch in run.epochs
        for name, value in epoch.metrics.items()
    ]
    return epochs + [Metric(name, value, milliseconds(run.ended), 0) for name, value in run.outcome.items()]


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow counts it."""
    return round(1000 * seconds)
