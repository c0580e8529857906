"""A file of sessions as more or fewer of them, at another rate: one's own traffic, scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from marsbench.core.session import Session, is_warm
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import GpuSeconds, Schedule, arrange
from marsbench.core.workload.recipe import Defaults
from marsbench.core.workload.tenants import with_tenants
from marsbench.errors import UsageError

RECIPE_ONLY = ("tools", "prefixes")
"""What a recipe draws and a file of sessions has fixed."""


def rearranged(workload: Workload, knobs: Knobs, gpu_s: GpuSeconds) -> Workload:
    """The workload as it is where no knob is turned, else its sessions arriving anew.

    A rate or load alone stretches the recorded pattern. With a number of sessions, a seed or a kind
    of arrivals the sessions are drawn again (`resampled`) and arrive on that schedule, by default
    as often as they did in the file.
    Raises UsageError for a knob that a file cannot take, and where nothing says how often.
    """
    return with_tenants(_arriving_anew(workload, knobs, gpu_s), knobs.tenants)


def _arriving_anew(workload: Workload, knobs: Knobs, gpu_s: GpuSeconds) -> Workload:
    # `warm.py`, `tenants.py` and `paging.py` add to sessions and change them, however they come.
    turned = asdict(replace(knobs, warm_start=None, tenants=None, context_paging=None))
    told = [name for name, value in turned.items() if value is not None]
    if not told:
        return workload
    workload = cold(workload)
    _check(workload, told)
    about = {**workload.meta, "resampled_from": workload.hash[:12]}
    own_rate = recorded_rate(workload)
    if own_rate is not None and set(told) <= {"rate", "load", "load_on"}:
        rate = knobs.rate or (knobs.load or 0.0) / gpu_s(workload.sessions)
        sessions = stretched(workload.sessions, rate)
        meta = {**about, "arrivals": "recorded", "rate": rate, "load": knobs.load}
        return Workload(workload.name, sessions, None, meta)
    schedule = Schedule.of(knobs, Defaults(rate=own_rate or 1.0))
    _check_rate(workload, knobs, schedule, own_rate)
    count = len(workload.sessions) if knobs.sessions is None else knobs.sessions
    bodies = resampled(workload.sessions, count, schedule.seed)
    return arrange(workload.name, bodies, schedule, gpu_s, about)


def cold(workload: Workload) -> Workload:
    """Without the sessions in flight at its start, which are those of its own rate."""
    own = tuple(session for session in workload.sessions if not is_warm(session.id))
    return replace(workload, sessions=own) if 0 < len(own) < len(workload.sessions) else workload


def recorded_rate(workload: Workload) -> float | None:
    """Sessions a second between the first arrival and the last; None where the file has none."""
    times = [session.arrival_s for session in workload.sessions]
    span = max(times) - min(times)
    return (len(times) - 1) / span if span > 0 and workload.lanes is None else None


def stretched(sessions: Sequence[Session], rate: float) -> tuple[Session, ...]:
    """The same pattern at that many sessions a second; the first arrives at 0."""
    times = [session.arrival_s for session in sessions]
    begin, end = min(times), max(times)
    # n sessions have n - 1 gaps. All at once stay so.
    scale = (len(times) - 1) / rate / (end - begin) if end > begin else 0.0
    return tuple(replace(s, arrival_s=(s.arrival_s - begin) * scale) for s in sessions)


def resampled(sessions: Sequence[Session], count: int, seed: int) -> list[Session]:
    """`count` sessions in an order drawn from the seed, each as often as any other, give or take 1.

    A longer list begins with the shorter one. The second copy of "a" is "a~2": another session,
    which shares with the first what its prefix group shares and no more.
    """
    drawn: list[Session] = []
    for turn in range(1, -(-count // len(sessions)) + 1):
        order = stream(seed, "resample", turn).permutation(len(sessions))
        drawn += [_copy(sessions[i], turn) for i in order.tolist()]
    return drawn[:count]


def _copy(session: Session, turn: int) -> Session:
    if turn == 1:
        return session
    copy = session.with_children(lambda child: _copy(child, turn))
    return replace(copy, id=f"{session.id}~{turn}")


def _check(workload: Workload, told: Sequence[str]) -> None:
    for name in RECIPE_ONLY:
        if name in told:
            raise UsageError(
                f"--{name} is drawn by a recipe, but {workload.name} is a file of sessions, in "
                "which it is fixed; leave it out (--sessions, --rate, --load, --arrivals and "
                "--seed work on a file)."
            )
    if told == ["load_on"]:
        raise UsageError("--load-on says of which hardware a --load is; give --load too.")


def _check_rate(
    workload: Workload, knobs: Knobs, schedule: Schedule, own_rate: float | None
) -> None:
    asked = knobs.rate is not None or knobs.load is not None
    if schedule.arrivals.lanes is None and not asked and own_rate is None:
        raise UsageError(
            f"{workload.name} records no arrivals, so nothing says how often its sessions come; "
            "give --rate, --load or --arrivals closed:N, for example --load 0.8."
        )
