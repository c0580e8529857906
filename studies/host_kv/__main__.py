"""`python -m studies.host_kv`: reports/host-kv.md of the runs of one sweep or several."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from studies.host_kv.document import document
from studies.host_kv.figure import draw
from studies.pages import command, pictured


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, its rows as CSV and its figure."""
    return command("studies.host_kv", __doc__, pictured(document, draw, ".svg"), arguments)


if __name__ == "__main__":
    sys.exit(main())
