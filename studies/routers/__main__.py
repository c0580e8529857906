"""`python -m studies.routers`: reports/routers.md of the runs of one sweep or several."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from studies.pages import command, pictured
from studies.routers.document import document
from studies.routers.figure import draw


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV and its figures."""
    return command("studies.routers", __doc__, pictured(document, draw, ""), arguments)


if __name__ == "__main__":
    sys.exit(main())
