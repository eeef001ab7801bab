"""What made a result: parameters, versions, machine and commit. Each result file carries it."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ansatz import __version__

PACKAGES = ("torch", "torchvision", "numpy", "h5py", "pandas")


def provenance(**parameters: Any) -> dict[str, Any]:
    """Describe what makes a result.

    Parameters
    ----------
    **parameters
        What the result depends on and a reader would ask for: the part of the configuration, seeds, the device.

    Returns
    -------
    dict
        ``parameters``, ``versions`` (of Python, this program and its main packages), ``machine`` and ``commit``
        (of the checkout, with ``-dirty`` where files differ from it, or None outside of git); plain JSON types.
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
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return None
    return done.stdout.strip() or None
