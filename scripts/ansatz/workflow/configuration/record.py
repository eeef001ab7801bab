"""Which configuration file the results of a name belong to, so that two files never share them by mistake.

``results/<name>/config.yaml`` holds the configuration with every default; its first line names the file.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

from ansatz.errors import UserError
from ansatz.files.atomic import write_text
from ansatz.workflow.configuration.model import Configuration

BEGINNING = "# The results here were made from "


def write_record(path: str | Path, configuration: Configuration, files: Sequence[str | Path]) -> None:
    """Write the configuration, with every default and the name of its file, beside its results.

    Parameters
    ----------
    path : str or Path
        ``results/<name>/config.yaml``.
    configuration : Configuration
    files : sequence of str or Path
        The configuration files; the first names the record, as others only change some of its keys.
    """
    text = yaml.safe_dump(configuration.as_configured(), sort_keys=False, allow_unicode=True)
    write_text(path, f"{BEGINNING}{relative(files[0])}\n{text}")


def check_record(path: str | Path, files: Sequence[str | Path]) -> None:
    """Refuse a configuration whose name already holds the results of another file, as long as that is there.

    A file that was moved or renamed thus keeps its results.

    Parameters
    ----------
    path, files
        As for `write_record`.

    Raises
    ------
    UserError
        If the results are another file's; the line says what to do.
    """
    recorded = _recorded(Path(path))
    if recorded and Path(recorded).exists() and not Path(recorded).samefile(files[0]):
        folder = Path(path).parent
        raise UserError(
            f"config.name: {folder.name!r} already holds the results of {recorded}, not of {relative(files[0])}; "
            f"choose another name, or delete {path} to continue {folder}/ with this file"
        )


def _recorded(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as stream:
            first = stream.readline().rstrip("\n")
    except OSError:
        return None  # nothing has been made yet
    return first.removeprefix(BEGINNING) if first.startswith(BEGINNING) else None


def relative(file: str | Path) -> str:
    """Return a path from the working directory if it is inside, as repositories are moved."""
    absolute = Path(file).resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)
