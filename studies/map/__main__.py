"""`python -m studies.map results/map -o reports/map.md`: who is best where, from a sweep's folder.

It is written from what is there, so it may be asked for while the sweep still plays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.map.document import written as page_and_pictures
from studies.map.read import read
from studies.pages import written


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV, and its pictures."""
    given = _options().parse_args(arguments)
    return written(
        given.output,
        lambda: page_and_pictures(read(given.folder, given.bounds), given.output),
    )


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.map", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the sweep")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument(
        "--no-bounds",
        dest="bounds",
        action="store_false",
        help="leave out what no schedule can pass, which takes a while the first time",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
