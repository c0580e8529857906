"""`python -m studies.host_kv`: reports/host-kv.md of the runs of one sweep or several."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from studies.host_kv.document import document
from studies.host_kv.figure import draw
from studies.pages import command


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV and its figure."""
    return command("studies.host_kv", __doc__, _page, arguments)


def _page(folders: Sequence[Path], output: Path) -> tuple[str, str]:
    """The page and its rows as CSV; its figure is drawn beside it."""
    figure = output.with_suffix(".svg")
    rows, text, table = document(folders, figure.name)
    figure.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, figure)
    return text, table


if __name__ == "__main__":
    sys.exit(main())
