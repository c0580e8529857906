"""The command line: every verb reads its options, calls one function, prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

STOPPED = "stopped; a run that had begun keeps its folder."


@contextmanager
def stopped_in_a_sentence() -> Iterator[None]:
    """Whoever presses Ctrl-C reads one, however little has been loaded yet."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"marsbench: {STOPPED}\n")
        sys.exit(INTERRUPTED)


def here() -> None:
    """The command line, in this process."""
    with stopped_in_a_sentence():
        from marsbench.cli.main import main as command_line

        command_line()
