"""A study's page: Markdown, and beside it its rows as CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from marsbench.errors import MarsbenchError
from marsbench.outputs import save_text


def written(output: Path, page: Callable[[], tuple[str, str]]) -> int:
    """Writes what `page` makes; returns the exit code of the command."""
    try:
        text, table = page()
    except MarsbenchError as error:
        sys.stderr.write(f"marsbench: {error}\n")
        return error.exit_code
    output.parent.mkdir(parents=True, exist_ok=True)
    save_text(output, text)
    save_text(output.with_suffix(".csv"), table)
    sys.stdout.write(f"{output}\n")
    return 0
