"""`python -m studies.calibration`: reports/gate-calibration.md from a sweep's folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.calibration.document import document
from studies.calibration.pool import read_pools
from studies.pages import written


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the document and, beside it, its rows as CSV."""
    given = _options().parse_args(arguments)
    return written(given.output, lambda: document(read_pools(given.folder)))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.calibration", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="results/gate-calibration")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
