"""The provenance of a result, stored in each result file: parameters, versions, machine and commit."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ansatz import __version__

PACKAGES = ("torch", "torchvision", "numpy", "h5py", "pandas")


def provenance(**parameters: Any) -> dict[str, Any]:
    """Return the provenance of a result.

    Parameters
    ----------
    **parameters
        Everything that the result depends on: its part of the configuration, seeds, the device.

    Returns
    -------
    dict
        ``parameters``, ``versions`` (of Python, this program and its main packages), ``machine`` and ``commit``
        (with ``-dirty`` if files differ from it; None outside a git checkout), in plain JSON types.
    """
    versions: dict[str, str | None] = {"python": platform.python_version(), "ansatz": __version__}
    versions |= {package: _version(package) for package in PACKAGES}
    return {"parameters": parameters, "versions": versions, "machine": platform.platform(), "commit": _commit()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, encoding="utf-8", check=False)
    except OSError:  # no git on this machine
        return None
    return done.stdout.strip() or None
