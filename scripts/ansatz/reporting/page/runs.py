"""Sections of the page about the runs themselves: what was run, on what, and from which configuration."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ansatz.files.tables import RUN
from ansatz.reporting.page.blocks import Cell, Section, Table, Text, section
from ansatz.reporting.page.initialization import filters_of

NETWORK = {"width": "width", "image_size": "image size"}  # keys of a network that the page names, and how


@section
def runs(runs: pd.DataFrame, resources: pd.DataFrame, logs: Sequence[str]) -> Section:
    """Make the section with a row for every run."""
    table = runs.merge(resources[[*RUN, "memory_mb"]], on=list(RUN), how="left").assign(log=list(logs))
    rows = [
        [
            Cell(row.dataset, row.dataset),
            Cell(row.initializer, row.initializer),
            Cell(str(row.seed), row.seed),
            Cell(row.status, row.status),
            _whole(row.epochs),
            _percent(row.best_validation_accuracy),
            _percent(row.test_accuracy),
            _whole(row.seconds),
            _whole(row.memory_mb),
            Cell(str(row.device), str(row.device)),
            Cell("log", link=row.log),
        ]
        for row in table.itertuples()
    ]
    headings = [*RUN, "status", "epochs", "best validation", "test", "seconds", "memory, MB", "device", "log"]
    return Section(
        "Every run",
        [Table(headings, rows, filters_of(table), title=f"{len(rows)} runs")],
        introduction="Accuracies are in percent. Links to logs work where the page lies beside the results.",
    )


@section
def provenance(configuration: Mapping[str, Any], summaries: Sequence[str] = ()) -> Section:
    """Make the section with the configuration and its defaults, and what the runs were made with."""
    blocks = [Text("Configuration", yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True))]
    if summaries:
        made = json.loads(Path(summaries[0]).read_text(encoding="utf-8"))
        kept = {key: made[key] for key in ("versions", "machine", "commit") if key in made}
        blocks.append(Text("Made with, the first run", yaml.safe_dump(kept, sort_keys=False)))
    return Section("Where it comes from", blocks)


def facts_of(
    configuration: Mapping[str, Any],
    sections: Sequence[str] = (),
    runs: pd.DataFrame | None = None,
    resources: pd.DataFrame | None = None,
    summaries: Sequence[str] = (),
) -> dict[str, str]:
    """Return what was run, for the top of the page: title -> text."""
    facts = {"sections": ", ".join(sections)} if sections else {}
    if configuration.get("datasets"):
        facts["datasets"] = ", ".join(configuration["datasets"])
    if study := configuration.get("initialization"):
        network = study["network"]
        facts["network"] = ", ".join(
            [network["name"], *(f"{title} {network[key]}" for key, title in NETWORK.items() if network.get(key))]
        )
        facts["initializers"] = str(len(study["initializers"]))
        facts["seeds"] = ", ".join(map(str, study["seeds"]))
    if resources is not None and runs is not None:
        minutes = resources.seconds.fillna(resources.training_seconds).sum() / 60
        took = f"{minutes / 60:.1f} hours" if minutes > 90 else f"{minutes:.0f} minutes"
        facts["runs"] = f"{len(runs)}, which took {took} in all"
        facts["device"] = ", ".join(runs.device.astype(str).unique())
    commits = {json.loads(Path(path).read_text(encoding="utf-8")).get("commit") for path in summaries} - {None}
    if commits:
        facts["commit"] = ", ".join(sorted(_short(commit) for commit in commits))
    return facts


def _short(commit: str) -> str:
    """Return the first letters of a commit, with the mark of changed files."""
    return commit[:9] + ("-dirty" if commit.endswith("-dirty") else "")


def _percent(share: float) -> Cell:
    return Cell("" if pd.isna(share) else f"{100 * share:.2f}", share)


def _whole(number: float) -> Cell:
    return Cell("" if pd.isna(number) else f"{number:.0f}", number)
