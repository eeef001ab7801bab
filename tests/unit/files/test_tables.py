"""CSV tables read back as they were written."""

import pandas as pd
import pytest

from ansatz.errors import UserError
from ansatz.files.tables import METRICS, metrics_columns, read_csv, read_scores, write_csv, write_metrics
from ansatz.reporting import machines


def scores(**changes):
    row = {"experiment": "a", "dataset": "b", "noise": 0.5, "machine": "cntk", "seed": 0}
    return pd.DataFrame([row | {"layers": 0, "accuracy": 0.5, "train": 9, "test": 9, "seconds": 1.5} | changes])


@pytest.mark.parametrize("name", ["NA", "007", "1e3", "null", "nan", "true"])
def test_names_that_look_like_something_else_stay_names(tmp_path, name):
    write_csv(tmp_path / "scores.csv", scores(experiment=name, dataset=name))
    table = read_scores(tmp_path / "scores.csv")
    assert table[["experiment", "dataset"]].to_numpy().tolist() == [[name, name]]
    assert len(machines.summarize(table, machines.read_declared({"cntk": {"baseline": True}}))) == 1


@pytest.mark.parametrize("change", [{"accuracy": None}, {"accuracy": "half"}, {"seconds": None}])
def test_incomplete_scores_are_named(tmp_path, change):
    write_csv(tmp_path / "scores.csv", scores(**change))
    with pytest.raises(UserError, match=r"scores\.csv: is incomplete; remove it"):
        read_scores(tmp_path / "scores.csv")


def test_a_torn_table_is_refused(tmp_path):
    (tmp_path / "torn.csv").write_text("a,b\n1,2\n3,4")
    with pytest.raises(UserError, match="cannot be read"):
        read_csv(tmp_path / "torn.csv", ["a", "b"])


# ------------------------------------------------------------------------------------------------- metrics.csv
def test_metrics_without_further_ones_are_as_ever(tmp_path):
    row = {"seconds": 2.5, "epoch": 1, "status": "ok", "train_loss": 1 / 3}  # whatever the order; no validation part
    write_metrics(tmp_path / "metrics.csv", [row])
    assert (tmp_path / "metrics.csv").read_bytes() == (
        b"epoch,status,train_loss,train_accuracy,train_eval_loss,train_eval_accuracy,validation_loss,"
        b"validation_accuracy,learning_rate,images_per_second,seconds\n"
        b"1,ok,0.3333333333333333,,,,,,,,2.5\n"
    )
    assert tuple(metrics_columns()) == METRICS


def test_further_metrics_follow_their_parts_accuracy(tmp_path):
    further = [f"{part}_{metric}" for metric in ("top5", "brier") for part in ("train_eval", "validation", "train")]
    rows = [dict.fromkeys(METRICS, 1) | dict.fromkeys(further, 2), dict.fromkeys(METRICS, 3)]
    write_metrics(tmp_path / "metrics.csv", rows)
    table = read_csv(tmp_path / "metrics.csv", METRICS)
    assert list(table.columns) == [
        *("epoch", "status"),
        *("train_loss", "train_accuracy", "train_top5", "train_brier"),
        *("train_eval_loss", "train_eval_accuracy", "train_eval_top5", "train_eval_brier"),
        *("validation_loss", "validation_accuracy", "validation_top5", "validation_brier"),
        *("learning_rate", "images_per_second", "seconds"),
    ]
    assert table.train_top5.fillna(-1).tolist() == [2, -1]


def test_a_column_that_is_no_metric_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="filters"):
        write_metrics(tmp_path / "metrics.csv", [{"epoch": 1, "filters": 2}])
    assert not list(tmp_path.iterdir())
