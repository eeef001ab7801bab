"""What the workflow's rules declare, and what their scripts really reach."""

import ast
import csv
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from real_data import ROOT

SCRIPTS = ROOT / "scripts"


@cache
def reached(script):
    """Import all that a script imports, in a fresh interpreter, and list the library's files that were loaded."""
    tree = ast.parse((SCRIPTS / script).read_text())
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    code = "import sys, json\n" + "\n".join(lines)
    code += "\nprint(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'ansatz']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    files = [Path(file) for file in json.loads(done.stdout)] + [SCRIPTS / script]
    return {os.path.relpath(SCRIPTS / file, ROOT) for file in files}


def rules():
    """Map every rule that runs a script to its text and its script."""
    found = {}
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in file.read_text().split("\nrule ")[1:]:
            if script := re.search(r'"../../scripts/(.*)"', rule):
                found[rule.partition(":")[0]] = rule, script.group(1)
    return found


def named_library(clone, *targets):
    """Map every rule that these targets ran in a clone to the files of the library that it names as inputs."""
    output = clone.snakemake("--detailed-summary", *targets).stdout
    rows = csv.DictReader(output[output.index("output_file\t") :].splitlines(), delimiter="\t")
    return {row["rule"]: {f for f in row["input-file(s)"].split(",") if f.startswith("scripts/")} for row in rows}
