"""Turn a mapping read from YAML into a checked configuration, or refuse it in one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ansatz import registry
from ansatz.errors import UserError
from ansatz.workflow.configuration import overriding
from ansatz.workflow.configuration.checks.datasets import wrong_batches, wrong_crops, wrong_datasets
from ansatz.workflow.configuration.checks.files import idle_plugins, missing_plugins, wrong_checksums, wrong_files
from ansatz.workflow.configuration.checks.layers import wrong_layers, wrong_sizes
from ansatz.workflow.configuration.checks.sources import wrong_sources
from ansatz.workflow.configuration.checks.tasks import wrong_tasks
from ansatz.workflow.configuration.checks.weights import wrong_weights
from ansatz.workflow.configuration.mistakes import line, unprintable
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.sources import Source

SLOW = (wrong_weights, wrong_layers, wrong_sizes)  # they ask torchvision and torch
CHECKS = (wrong_datasets, wrong_sources, wrong_tasks, wrong_batches, wrong_crops, *SLOW)


def load(
    raw: Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    directory: Path | None = None,
    thorough: bool = True,
) -> Configuration:
    """Check a configuration and fill in its defaults; its plugins are searched from now on.

    Parameters
    ----------
    raw : mapping
        The content of the configuration file; it may already include the overrides.
    overrides : mapping, optional
        What ``--config`` gives on the command line, as Snakemake reads it: the values of nested keys are text.
        A key of sections that stands at the top, such as ``seeds``, holds for every section that has it.
    directory : Path, optional
        Where relative paths start; by default where the process is.
    thorough : bool
        Whether to check names of layers and weights, small images, and checksums of files too, which needs torch and
        torchvision and takes seconds.

    Raises
    ------
    UserError
        If something is wrong, in one line.
    """
    directory = directory or Path.cwd()
    _use_plugins(dict(raw) | overriding.typed(overrides or {}), directory)
    config = overriding.overridden(raw, overrides or {})
    for wrong in unprintable(config):
        raise UserError(wrong)
    try:
        configuration = Configuration.model_validate(config)
    except ValidationError as error:
        raise UserError(line(error)) from None
    for check_files in (wrong_files, wrong_checksums) if thorough else (wrong_files,):
        for wrong in check_files(configuration, directory):
            raise UserError(f"config.{wrong}")
    for check in CHECKS if thorough else [check for check in CHECKS if check not in SLOW]:
        for wrong in check(configuration):
            raise UserError(f"config.{wrong}")
    return _completed(configuration)


def _use_plugins(config: Mapping[str, Any], directory: Path) -> None:
    plugins = config.get("plugins")
    if isinstance(plugins, list) and all(isinstance(plugin, str) for plugin in plugins):
        for wrong in missing_plugins(plugins, directory):
            raise UserError(f"config.{wrong}")
        registry.use(directory / plugin for plugin in plugins)
        try:
            for kind in registry.PACKAGES:
                registry.definitions(kind)
        except UserError as error:
            raise UserError(f"config.plugins: {error}") from None
        for wrong in idle_plugins(plugins, directory):
            raise UserError(f"config.{wrong}")


def _completed(configuration: Configuration) -> Configuration:
    """Return the configuration with the defaults that depend on other keys."""
    study = configuration.initialization
    network = configuration.study_network
    if study:
        defaults = {"datasets": configuration.study_datasets, "baseline": study.default_baseline}
        missing = {key: value for key, value in defaults.items() if getattr(study, key) is None}
        study = study.model_copy(update=missing)
    sources = {
        name: Source(**{source.kind: source.initialized.model_copy(update={"network": network})})
        if source.initialized and source.initialized.network is None
        else source
        for name, source in configuration.sources.items()
    }
    return configuration.model_copy(update={"initialization": study, "sources": sources})
