"""When imported sessions arrive: as recorded, the recorded pattern stretched, or by a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from marsbench.core.session import Session
from marsbench.core.workload.files import Header, Workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import GpuSeconds, Schedule, arrange
from marsbench.core.workload.recipe import Defaults
from marsbench.core.workload.resample import stretched

EPOCH_S = 1e8
"""An arrival from here on, three years, is no time behind a workload's start but a date."""


def from_first(sessions: Sequence[Session]) -> tuple[list[Session], list[str]]:
    """Arrivals that are dates as seconds after the first of them, and a note on it."""
    dates = [one.arrival_s for one in sessions if one.arrival_s >= EPOCH_S]
    if not dates:
        return list(sessions), []
    begin = min(dates)
    found = [
        replace(one, arrival_s=one.arrival_s - begin) if one.arrival_s >= EPOCH_S else one
        for one in sessions
    ]
    few = "" if len(dates) == len(sessions) else f" ({len(sessions) - len(dates):,} are no dates)"
    return found, [f"arrivals are dates, and counted from the first of them{few}"]


def schedule_of(knobs: Knobs, rate: float) -> Schedule:
    """The knobs over a default rate. Raises UsageError when they contradict each other."""
    return Schedule.of(knobs, Defaults(rate=rate))


def workload_of(
    name: str,
    sessions: Sequence[Session],
    knobs: Knobs,
    meta: dict[str, object],
    gpu_s: GpuSeconds,
    default_rate: float,
    recorded: bool,
    header: Header | None,
) -> Workload:
    """The workload of these sessions.

    With a header and no option it is the one that was exported. Recorded arrivals hold unless an
    option says otherwise; a rate or load without a kind of arrivals stretches them.
    """
    chosen = {name for name, value in asdict(knobs).items() if value is not None}
    if header is not None and not chosen:
        return Workload(header.name, tuple(sessions), header.lanes, header.meta)
    schedule = schedule_of(knobs, default_rate)
    if (header is None and not recorded) or chosen - {"rate", "load"}:
        return arrange(name, sessions, schedule, gpu_s, meta)
    about: dict[str, object] = {**meta, "arrivals": "recorded"}
    if not chosen:
        return Workload(name, tuple(sessions), None, about)
    rate = knobs.rate or (knobs.load or 0.0) / gpu_s(sessions)
    return Workload(name, stretched(sessions, rate), None, {**about, "rate": rate})
