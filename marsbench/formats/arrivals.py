"""When imported sessions arrive: as recorded, the recorded pattern stretched, or by a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from marsbench.core.session import Session
from marsbench.core.workload.files import Header, Workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import GpuSeconds, Schedule, arrange
from marsbench.core.workload.recipe import Defaults
from marsbench.core.workload.resample import stretched


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
