"""The command line, as `marsbench` and as `python -m marsbench`."""

from __future__ import annotations

import sys

from marsbench.cli import INTERRUPTED, STOPPED


def main() -> None:
    """The entry point. Whoever presses Ctrl-C while it is still being loaded reads a sentence."""
    try:
        from marsbench.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write(f"marsbench: {STOPPED}\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
