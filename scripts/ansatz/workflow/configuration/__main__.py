"""Write the schema and the tables of config/README.md, as ``make schema`` does."""

import json
import re
from pathlib import Path

from ansatz.declarations import LIBRARY
from ansatz.workflow.configuration.documentation import json_schema
from ansatz.workflow.configuration.tables import tables

ROOT = LIBRARY.parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
README = ROOT / "config" / "README.md"


def contents() -> dict[Path, str]:
    """Return the generated files' contents; in the README, only the text between markers is replaced."""
    readme = README.read_text(encoding="utf-8")
    for name, table in tables().items():
        begin, end = f"<!-- {name}: written by make schema -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(readme):
            raise SystemExit(f"{README}: the lines {begin} and {end} are missing, between which the table belongs")
        readme = pattern.sub(lambda _: f"{begin}\n\n{table}\n\n{end}", readme)  # noqa: B023  # called at once
    return {SCHEMA: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", README: readme}


def main() -> None:
    """Write the files that have changed."""
    for path, text in contents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
