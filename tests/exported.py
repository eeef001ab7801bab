"""What trackers read: ``python exported.py FOLDER --to TRACKER`` exports, and prints what is there then as JSON.

Each function below reads with its tracker's own library, and returns for each run, by its name, its `parameters`
(with tags, where these are one), the `metrics` by name and epoch, and the `outcome`.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from ansatz.export.__main__ import main


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    runs = {}
    events = EventMultiplexer().AddRunsFromDirectory(str(folder))
    events.Reload()
    for name in events.Runs():
        run = events.GetAccumulator(name)
        series = {tag: {event.step: event.value for event in run.Scalars(tag)} for tag in run.Tags()["scalars"]}
        start = HParamsPluginData()
        start.ParseFromString(run.PluginTagToContent("hparams")["_hparams_/session_start_info"])
        hparams = start.session_start_info.hparams.items()
        parameters = {key: value.number_value or value.string_value or value.bool_value for key, value in hparams}
        runs[name] = {"parameters": parameters, **split(series)}
    return runs


def mlflow(folder):
    from mlflow import MlflowClient

    runs = {}
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(folder.parents[1].name)
    for run in client.search_runs([experiment.experiment_id]):
        histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        series = {name: {one.step: one.value for one in history} for name, history in histories.items()}
        runs[run.info.run_name] = {"parameters": run.data.params | run.data.tags, **split(series)}
    return runs


def wandb(folder):
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    def values(items):
        return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}

    runs = {}
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        store, series, summary = DataStore(), defaultdict(dict), {}
        store.open_for_scan(str(file))
        while (data := store.scan_data()) is not None:
            record = Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                name, parameters = record.run.display_name, values(record.run.config.update)
            for metric, value in values(record.history.item).items():
                series[metric][record.history.step.num] = value
            summary |= values(record.summary.update)
        outcome = {name: value for name, value in summary.items() if name.startswith("outcome/")}
        metrics = {name: by_epoch for name, by_epoch in series.items() if not name.startswith("_")}
        runs[name] = {"parameters": parameters, "metrics": metrics, "outcome": outcome}
    return runs


def split(series):
    """Tell metrics from the outcome, which is a single number."""
    outcome = {name: next(iter(steps.values())) for name, steps in series.items() if name.startswith("outcome/")}
    return {"metrics": {name: steps for name, steps in series.items() if name not in outcome}, "outcome": outcome}


if __name__ == "__main__":
    results, _, tracker = sys.argv[1:]
    main(sys.argv[1:])
    print(json.dumps(globals()[tracker](Path(results).resolve() / "export" / tracker)))
