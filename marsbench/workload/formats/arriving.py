"""When imported sessions arrive: as recorded, the recorded pattern stretched, or by a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from marsbench.session import Session
from marsbench.workload.files import Workload
from marsbench.workload.formats.reading import Header
from marsbench.workload.make import GpuSeconds, Knobs, Schedule, arrange
from marsbench.workload.recipe import Defaults

KNOBS = ("rate", "load", "arrivals", "seed")


def schedule_of(given: Mapping[str, Any], rate: float) -> Schedule:
    """The options over a default rate. Raises UsageError when they contradict each other."""
    return Schedule.of(Knobs(**{name: given[name] for name in KNOBS}), Defaults(rate=rate))


def arriving(
    name: str,
    sessions: Sequence[Session],
    given: Mapping[str, Any],
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
    told = {knob for knob in KNOBS if given[knob] is not None}
    if header is not None and not told:
        return Workload(header.name, tuple(sessions), header.lanes, header.meta)
    schedule = schedule_of(given, default_rate)
    if (header is None and not recorded) or told - {"rate", "load"}:
        return arrange(name, sessions, schedule, gpu_s, meta)
    about: dict[str, object] = {**meta, "arrivals": "recorded"}
    if not told:
        return Workload(name, tuple(sessions), None, about)
    rate = given["rate"] or given["load"] / gpu_s(sessions)
    return Workload(name, _stretched(sessions, rate), None, {**about, "rate": rate})


def _stretched(sessions: Sequence[Session], rate: float) -> tuple[Session, ...]:
    """The same pattern at that many sessions a second; the first arrives at 0."""
    times = [session.arrival_s for session in sessions]
    begin, end = min(times), max(times)
    # n sessions have n - 1 gaps. All at once stay so.
    scale = (len(times) - 1) / rate / (end - begin) if end > begin else 0.0
    return tuple(replace(s, arrival_s=(s.arrival_s - begin) * scale) for s in sessions)
