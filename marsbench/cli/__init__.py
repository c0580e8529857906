"""The command line: every verb reads its options, calls one function, prints."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

STOPPED = "stopped; a run that had begun keeps its folder."


def here() -> None:
    """The command line. Whoever presses Ctrl-C while it is still being loaded reads a sentence."""
    try:
        from marsbench.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write(f"marsbench: {STOPPED}\n")
        sys.exit(INTERRUPTED)
