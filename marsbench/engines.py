"""The main job: give what was asked to the engine that plays it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from marsbench.errors import unknown_name
from marsbench.runs import RunSummary
from marsbench.runs.request import RunRequest, check_request

# Each is a module with `run(request)`, imported when it is asked for.
ENGINES = {
    "sim": "marsbench.runs.simulated",
    "live": "marsbench.wall.live.run",
    "openhands": "marsbench.wall.agents.run",
}


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be, RunFailedError when
    the run cannot go on (its folder is kept).
    """
    check_request(request)
    if request.engine not in ENGINES:
        raise unknown_name("engine", request.engine, ENGINES)
    found: tuple[Path, RunSummary] = import_module(ENGINES[request.engine]).run(request)
    return found
