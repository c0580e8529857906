"""`python -m studies.routers`: reports/routers.md of the runs of a sweep."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.pages import written
from studies.routers.document import document
from studies.routers.figure import draw


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV and its figures."""
    parser = argparse.ArgumentParser(prog="python -m studies.routers", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the sweep's folder")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    given = parser.parse_args(arguments)
    stem = given.output.with_suffix("")

    def page() -> tuple[str, str]:
        rows, text, table = document(given.folder, stem.name)
        stem.parent.mkdir(parents=True, exist_ok=True)
        draw(rows, stem)
        return text, table

    return written(given.output, page)


if __name__ == "__main__":
    sys.exit(main())
