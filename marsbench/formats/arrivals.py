"""When imported sessions arrive: as recorded, the recorded pattern stretched, or by a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marsbench.core.session import Session
from marsbench.core.workload.files import Header, Workload
from marsbench.core.workload.make import GpuSeconds, Knobs, Schedule, arrange
from marsbench.core.workload.recipe import Defaults
from marsbench.core.workload.resample import stretched

KNOBS = ("rate", "load", "arrivals", "seed")


def schedule_of(given: Mapping[str, Any], rate: float) -> Schedule:
    """The options over a default rate. Raises UsageError when they contradict each other."""
    return Schedule.of(Knobs(**{name: given[name] for name in KNOBS}), Defaults(rate=rate))


def workload_of(
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
    chosen = {knob for knob in KNOBS if given[knob] is not None}
    if header is not None and not chosen:
        return Workload(header.name, tuple(sessions), header.lanes, header.meta)
    schedule = schedule_of(given, default_rate)
    if (header is None and not recorded) or chosen - {"rate", "load"}:
        return arrange(name, sessions, schedule, gpu_s, meta)
    about: dict[str, object] = {**meta, "arrivals": "recorded"}
    if not chosen:
        return Workload(name, tuple(sessions), None, about)
    rate = given["rate"] or given["load"] / gpu_s(sessions)
    return Workload(name, stretched(sessions, rate), None, {**about, "rate": rate})
