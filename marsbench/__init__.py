"""marsbench: the neutral referee for LLM serving schedulers under coding agents.

From Python: `run`, `sweep`, `load`, `compare` and `Run` of `marsbench.api` (docs/python.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from marsbench.version import __version__

__all__ = ["Run", "__version__", "compare", "load", "run", "sweep"]

if TYPE_CHECKING:
    from marsbench.api import Run, compare, load, run, sweep
else:

    def __getattr__(name):
        """Loaded when it is asked for: every module of ours imports this one first."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from marsbench import api

        return getattr(api, name)
