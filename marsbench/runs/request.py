"""What a user asked of a run, and whether it can be asked for."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.core.settings import EngineSettings
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import UsageError

if TYPE_CHECKING:  # a command's help knows the request, and loads nothing for it
    from marsbench.core.backends import Choice
    from marsbench.hardware.profile import Hardware
    from marsbench.replicas.config import FleetConfig

RESULTS = Path("results")


@dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """What one engine is told beside what every run is told; the engine's room says what."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a user asked for; everything else follows from it.

    engine: what plays it, a name of `marsbench.engines.ENGINES`.
    scheduler: module:Class, or "vllm", that is played in a backend's place.
    vllm: what was imported in the installed one's place, as it was asked for.
    own: what that engine alone is told.
    fleet: several simulated engines behind a router; None where one plays.
    asked: the options of `marsbench run` as they were typed; none where something else asked.
    """

    choice: Choice
    engine: str = "sim"
    scheduler: str | None = None
    vllm: str | None = None
    workload: str = "ilr-1"
    knobs: Knobs = field(default_factory=Knobs)
    hardware: Hardware
    settings: EngineSettings = field(default_factory=EngineSettings)
    alphas: tuple[float, ...] = (3.0,)
    tool_cores: int = 8
    tool_workers: int | None = None
    check: bool = False
    output: Path | None = None
    show_progress: bool = True
    own: OwnOptions | None = None
    fleet: FleetConfig | None = None
    asked: tuple[str, ...] = ()


def check_request(request: RunRequest) -> None:
    """Raises UsageError for a value out of range, or a place where no folder can be made."""
    for alpha in request.alphas:
        if not 1 <= alpha < math.inf:
            raise UsageError(
                f"--alpha must be 1 or more, and finite, not {alpha:g}: no session ends sooner "
                "than it does alone; for example --alpha 3."
            )
    for option, number in (
        ("--tool-cores", request.tool_cores),
        ("--tool-workers", request.tool_workers),
    ):
        if number is not None and number < 1:
            raise UsageError(f"{option} must be at least 1, not {number}; for example {option} 8.")
    _check_place(request.output)


def _check_place(output: Path | None) -> None:
    """Raises UsageError when no folder can be made there; before the work, not after."""
    place = (output or RESULTS).absolute()
    try:
        taken = output is not None and place.exists()
        above = next(folder for folder in (place, *place.parents) if folder.exists())
        may = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    except OSError:  # a name too long, or too many links
        taken, may = False, False
    if taken:
        raise UsageError(
            f"{output} exists already, and a run never overwrites one; "
            "give another folder with -o, or move that one away."
        )
    if not may:
        raise UsageError(
            f"No run folder can be made at {output or RESULTS}; "
            "give a new folder below one that you may write, for example -o results/mine."
        )
