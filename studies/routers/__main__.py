"""`python -m studies.routers`: reports/routers.md of the runs of one sweep or several."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from studies.pages import command
from studies.routers.document import document
from studies.routers.figure import draw


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV and its figures."""
    return command("studies.routers", __doc__, _page, arguments)


def _page(folders: Sequence[Path], output: Path) -> tuple[str, str]:
    """The page and its rows as CSV; its figures are drawn beside it."""
    stem = output.with_suffix("")
    rows, text, table = document(folders, stem.name)
    stem.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, stem)
    return text, table


if __name__ == "__main__":
    sys.exit(main())
