"""A Python of its own, which has imported nothing yet and allocated no memory."""

import subprocess
import sys
from textwrap import dedent

from real_data import ROOT


def run(code, missing=()):
    """Run code as a new program for which these packages are not installed; return what it prints."""
    absent = f"import sys; sys.modules.update(dict.fromkeys({missing}))\n" if missing else ""
    command = [sys.executable, "-c", absent + dedent(code)]
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
