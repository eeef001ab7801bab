"""Export the runs of a study: ``python -m ansatz.export results/digits --to mlflow``.

It only reads results: it trains nothing, and nothing goes to the network.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ansatz import registry
from ansatz.errors import UserError
from ansatz.export.study import read_study
from ansatz.files.atomic import atomic
from ansatz.job import one_line


def export(folder: Path, name: str) -> str:
    """Export the runs below a folder to ``<folder>/export/<name>/``, in place of an earlier export.

    Parameters
    ----------
    folder : Path
    name : str
        That of an exporter.

    Returns
    -------
    str
        What was written, and the command that shows it.

    Raises
    ------
    UserError
        If the exporter, its package or the runs are not there, or a result has changed.
    """
    definition, target = registry.define("exporter", name), folder / "export" / name
    study = read_study(folder)
    try:
        with atomic(target) as temporary:
            temporary.mkdir()
            registry.find("exporter", name).object(study, temporary)
    except ModuleNotFoundError as error:
        missing = f"--to {name}: takes {error.name}, which is not installed"
        raise UserError(f"{missing}: pip install '.[{name}]'") from error
    view = definition.declared.get("view", "").format(folder=shlex.quote(str(target)))
    return f"{target}: {len(study.runs)} runs" + (f"; to see them: {view}" if view else "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Export as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m ansatz.export", description="Export the runs of a study.")
    parser.add_argument("folder", type=Path, help="results, such as results/digits")
    parser.add_argument("--to", required=True, metavar="TRACKER", help=", ".join(registry.definitions("exporter")))
    parser.add_argument("--plugins", nargs="*", default=[], metavar="FILE", help="files that register exporters")
    given = parser.parse_args(arguments)
    try:
        registry.use(given.plugins)
        print(export(given.folder, given.to))
    except Exception as error:
        if (line := one_line(error)) is None:
            raise
        sys.exit(line)


if __name__ == "__main__":
    main()
