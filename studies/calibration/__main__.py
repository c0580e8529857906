"""`python -m studies.calibration`: reports/gate-calibration.md from a sweep's folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from marsbench.errors import MarsbenchError
from marsbench.outputs import save_text
from studies.calibration.document import document
from studies.calibration.effects import FIGURES
from studies.calibration.pool import read_pool


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the document and, beside it, its rows as CSV."""
    given = _options().parse_args(arguments)
    try:
        text, table = document(read_pool(given.folder, tuple(FIGURES)))
    except MarsbenchError as error:
        sys.stderr.write(f"marsbench: {error}\n")
        return error.exit_code
    given.output.parent.mkdir(parents=True, exist_ok=True)
    save_text(given.output, text)
    save_text(given.output.with_suffix(".csv"), table)
    sys.stdout.write(f"{given.output}\n")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.calibration", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="results/gate-calibration")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
