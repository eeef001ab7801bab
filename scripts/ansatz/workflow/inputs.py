"""What rules ask about the configuration, as functions of their wildcards."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansatz import registry
from ansatz.data.listing import identity
from ansatz.errors import UserError
from ansatz.workflow.closure import definitions
from ansatz.workflow.configuration.checks.files import is_file
from ansatz.workflow.configuration.datasets import DatasetOptions
from ansatz.workflow.configuration.loading import load
from ansatz.workflow.configuration.record import check_record, relative, write_record
from ansatz.workflow.configuration.strict_yaml import check_yaml
from ansatz.workflow.plan import Plan

OfWildcards = Callable[[Any], Any]


def configured(
    config: dict[str, Any], overrides: Mapping[str, Any], files: Sequence[str | Path], *, thorough: bool = True
) -> Plan:
    """Check Snakemake's configuration, fill in its defaults in place, and return what it asks for.

    Parameters
    ----------
    config : dict
        As Snakemake read it.
    overrides : mapping
        The part of it that ``--config`` gave.
    files : sequence of path
        The configuration files.
    thorough : bool
        As for `load`; a job repeats what has been checked, so it need not be.

    Raises
    ------
    SystemExit
        With one line, if something is wrong.
    """
    try:
        configuration = load(config, overrides=overrides, thorough=thorough)
        plan = Plan(configuration, f"results/{configuration.name}")
        check_record(plan.record, files)
    except UserError as error:
        sys.exit(str(error))  # a WorkflowError would come with the places in the code where it was raised
    config.clear()
    config.update(configuration.as_configured())
    return plan


def refuse_ambiguous(files: Sequence[str | Path]) -> None:
    """End in one line if a configuration file could be read as something else than it looks like."""
    try:
        for file in files:
            check_yaml(relative(file))
    except UserError as error:
        sys.exit(str(error))


def record(plan: Plan, files: Sequence[str | Path]) -> None:
    """Write what the results are made from beside them; end in one line if that is impossible.

    Parameters
    ----------
    plan : Plan
    files : sequence of path
        The configuration files.
    """
    try:
        write_record(plan.record, plan.configuration, files)
    except (OSError, UserError) as error:
        sys.exit(
            f"{plan.record}: {error.strerror if isinstance(error, OSError) else error}; results are to be written there"
        )


def growing(amount: int | OfWildcards) -> Callable[[Any, int], int]:
    """Return more at each attempt: a job that was killed for a limit succeeds with a larger one."""

    def at(wildcards: Any, attempt: int) -> int:
        return attempt * (amount(wildcards) if callable(amount) else amount)

    return at


def section(plan: Plan, name: str) -> OfWildcards:
    """Return the function that gives no file, and ends in one line if the configuration lacks this section."""

    def check(wildcards: Any) -> list[str]:
        if name not in plan.configuration.sections:
            sys.exit(f"config.{name}: missing; config/README.md says what it holds")
        return []

    return check


class DatasetInputs:
    """What rules ask about a dataset, by the wildcard ``dataset``."""

    def __init__(self, plan: Plan, archive: str) -> None:
        self.plan, self.archive = plan, archive

    def options(self, name: str) -> DatasetOptions:
        """Return what the configuration says of a dataset."""
        return self.plan.configuration.datasets.get(name) or DatasetOptions()

    def option(self, key: str, default: Any = None) -> OfWildcards:
        """Return the function that gives one of its options."""

        def value(wildcards: Any) -> Any:
            setting = getattr(self.options(wildcards.dataset), key)
            return default if setting is None else setting

        return value

    def folder(self, wildcards: Any) -> str | list[str]:
        """Return the user's folder or zip, if it is the user's own images."""
        return self.options(wildcards.dataset).folder or []

    def archives_of(self, name: str) -> list[str]:
        """Return where the archives of a registered dataset lie once they are fetched."""
        try:
            files = registry.define("dataset", name).declared.get("files", ())
        except UserError as error:
            sys.exit(str(error))
        return [self.archive.format(dataset=name, archive=file) for file in files]

    def archives(self, wildcards: Any) -> list[str]:
        """Return its archives, unless it is the user's own images."""
        return [] if self.folder(wildcards) else self.archives_of(wildcards.dataset)

    def of_archive(self, key: str) -> OfWildcards:
        """Return the function that gives one of its options for the wildcard ``archive``: file -> value, or nothing."""

        def value(wildcards: Any) -> dict[str, str]:
            setting = getattr(self.options(wildcards.dataset), key) or {}
            values = setting if isinstance(setting, Mapping) else {wildcards.archive: setting}
            return {file: values[file] for file in values if file == wildcards.archive}

        return value

    def source(self, wildcards: Any) -> str:
        """Return where its images come from: the user's folder or zip, or the folder of its archives."""
        archive = self.archive.format(dataset=wildcards.dataset, archive="any")
        return str(self.folder(wildcards) or Path(archive).parent)

    def is_own(self, wildcards: Any) -> bool:
        """Return whether it is the user's own images."""
        return bool(self.folder(wildcards))

    def definitions(self, script: str) -> OfWildcards:
        """Return the function that gives the file that defines it, unless it is the user's own images."""

        def files(wildcards: Any) -> list[str]:
            return [] if self.folder(wildcards) else definitions(script, [("dataset", wildcards.dataset)])

        return files

    def identity(self, wildcards: Any) -> str:
        """Return what changes with a user's own images, whose folder's date hides what changes below it."""
        folder = self.options(wildcards.dataset).folder
        try:
            return identity(Path(folder)) if folder else ""
        except (OSError, UserError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            sys.exit(f"config.datasets.{wildcards.dataset}.folder: {reason}")


class PictureInputs(dict[str, str | int]):
    """The pictures by their names in paths, and what rules ask about one, by the wildcard ``picture``."""

    def __init__(self, plan: Plan) -> None:
        super().__init__({Path(str(picture)).stem: picture for picture in plan.configuration.pictures})

    def __missing__(self, name: str) -> str:
        sys.exit(f"config.pictures: {name} is not configured; they are {', '.join(self)}")

    def picture(self, wildcards: Any) -> str | int:
        """Return the picture as the configuration names it: a file, the number of an image, or a bundled photograph."""
        return self[wildcards.picture]

    def file(self, wildcards: Any) -> str | list[str]:
        """Return the picture's file, if it is the user's."""
        picture = self[wildcards.picture]
        return str(picture) if is_file(picture) else []
