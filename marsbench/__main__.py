"""The command line, as `marsbench` and as `python -m marsbench`."""

from __future__ import annotations

import os
import sys

from marsbench.cli import here, stopped_in_a_sentence


def main() -> None:
    """The entry point: a run is forked by the process that has imported vLLM already, if it may."""
    from marsbench.resident.place import OPTION, is_wanted

    code = None
    if is_wanted(sys.argv[1:], os.environ):
        from marsbench.resident.client import played

        with stopped_in_a_sentence():
            code = played(sys.argv[1:])
    sys.argv[1:] = [word for word in sys.argv[1:] if word != OPTION]  # no command's own
    if code is None:
        here()
    else:
        sys.exit(code)


if __name__ == "__main__":
    main()
