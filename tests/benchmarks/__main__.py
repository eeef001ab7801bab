"""Run all benchmarks, or the parts named; print a table, and write it to results/benchmarks/.

Nothing else should run on the machine meanwhile.
"""

import importlib
import sys

from benchmarks.measure import Row, hardware, table
from real_data import ROOT

PARTS = (
    "training",
    "checkpoints",
    "features",
    "waiting",
    "transformers",
    "initialization",
    "kernels",
    "distribution",
    "workflow",
)

if __name__ == "__main__":
    file = ROOT / "results" / "benchmarks" / f"{'-'.join(sys.argv[1:]) or 'cpu'}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    if unknown := set(sys.argv[1:]) - set(PARTS):
        sys.exit(f"{unknown.pop()} is none of {', '.join(PARTS)}")
    rows: list[Row] = []
    for part in sys.argv[1:] or PARTS:
        print(f"{part} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"benchmarks.{part}").rows()
        text = (
            f"{hardware()}. Median (smallest–largest) of n alternating runs, each in its own process.\n\n{table(rows)}"
        )
        file.write_text(text)  # kept even if a later part fails
    print(text)
    sys.exit(any(row.met is False for row in rows))
