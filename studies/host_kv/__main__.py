"""`python -m studies.host_kv`: reports/host-kv.md of the runs of one sweep or several."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.host_kv.document import document
from studies.host_kv.figure import draw
from studies.pages import written


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV and its figure."""
    parser = argparse.ArgumentParser(prog="python -m studies.host_kv", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="of sweeps")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    given = parser.parse_args(arguments)
    figure = given.output.with_suffix(".svg")

    def page() -> tuple[str, str]:
        rows, text, table = document(given.folders, figure.name)
        figure.parent.mkdir(parents=True, exist_ok=True)
        draw(rows, figure)
        return text, table

    return written(given.output, page)


if __name__ == "__main__":
    sys.exit(main())
