"""`python -m studies.coverage`: reports/coverage.md, computed anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.coverage.document import document


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the document and, beside it, its rows as CSV."""
    given = _options().parse_args(arguments)
    text, table = document(lambda name: sys.stderr.write(f"{name}\n"))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text, encoding="utf-8")
    given.output.with_suffix(".csv").write_text(table, encoding="utf-8")
    sys.stdout.write(f"{given.output}\n")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.coverage", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
