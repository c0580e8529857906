"""The command line, as `marsbench` and as `python -m marsbench`."""

from __future__ import annotations

import os
import sys

from marsbench.cli import INTERRUPTED, STOPPED


def main() -> None:
    """The entry point: a run is forked by the process that has imported vLLM already, if it may."""
    from marsbench.resident.place import is_wanted

    code = None
    if is_wanted(sys.argv[1:], os.environ):
        from marsbench.resident.client import played

        code = played(sys.argv[1:])
    if code is None:
        here()
    else:
        sys.exit(code)


def here() -> None:
    """The command line. Whoever presses Ctrl-C while it is still being loaded reads a sentence."""
    try:
        from marsbench.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write(f"marsbench: {STOPPED}\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
