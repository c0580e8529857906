"""Where OpenHands is installed: an environment of its own, for its MCP client and vLLM's clash."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from marsbench.errors import UsageError

VARIABLE = "MARSBENCH_OPENHANDS_PYTHON"
FOLDER = ".venv-openhands"
CHECKOUT = Path(__file__).resolve().parents[3]


def agents_python() -> Path:
    """The Python that has OpenHands: the one that the variable names, else this one if it has it,
    else that of `make openhands`.

    Raises UsageError when there is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if Path(named).is_file():
            return Path(named)
        raise UsageError(f"{VARIABLE} names '{named}', and there is no such file; give a Python.")
    if find_spec("openhands") is not None and find_spec("openhands.sdk") is not None:
        return Path(sys.executable)
    made = CHECKOUT / FOLDER / "bin" / "python"
    if made.is_file():
        return made
    raise UsageError(
        "Real agents need OpenHands in an environment of its own, and there is none: run "
        f"`make openhands` in marsbench's checkout, or set {VARIABLE} to a Python 3.12 or newer "
        "that has openhands-sdk and openhands-tools."
    )
