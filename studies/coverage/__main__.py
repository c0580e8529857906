"""`python -m studies.coverage`: reports/coverage.md, computed anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.coverage.document import document
from studies.pages import written


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the document and, beside it, its rows as CSV."""
    given = _options().parse_args(arguments)
    return written(given.output, lambda: document(lambda name: sys.stderr.write(f"{name}\n")))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.coverage", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
