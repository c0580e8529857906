"""The spans of time over which rates are taken (`steady.py` has the steady part)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord, roots, tops

# A rate over less than this is no rate: a simulated step alone takes a thousand times as long.
SHORTEST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Window:
    """From one instant to a later one, both included; seconds."""

    from_s: float
    to_s: float

    @property
    def length_s(self) -> float:
        """Seconds between the two."""
        return self.to_s - self.from_s

    def holds(self, at: float | None) -> bool:
        """Whether an instant lies inside; one that never came does not."""
        return at is not None and self.from_s <= at <= self.to_s


def whole_run(sessions: Sequence[SessionRecord], stream_end_s: float) -> Window | None:
    """First arrival to last end; to the stream's end while a session is unfinished.

    Ending at the last end although others are still under way would overstate every rate.
    None when no session arrived, or no time has passed.
    """
    if not sessions:
        return None
    ends = [s.ended_at for s in roots(sessions)]
    known = [end for end in ends if end is not None]
    last = stream_end_s if len(known) < len(ends) or not known else max(known)
    return proper(min(s.arrived_at for s in sessions), last)


def arrivals(sessions: Sequence[SessionRecord]) -> Window | None:
    """First to last arrival: while the load is offered. None for a burst at one instant."""
    times = [s.arrived_at for s in roots(sessions)]
    return proper(min(times), max(times)) if times else None


def measured_arrivals(
    sessions: Sequence[SessionRecord], warm_up_s: float, cool_down_s: float
) -> Window | None:
    """The arrivals less the warm-up at their beginning and the cool-down at their end.

    None when neither is asked for, or when nothing is left between them.
    """
    whole = arrivals(sessions)
    if whole is None or not (warm_up_s or cool_down_s):
        return None
    return proper(whole.from_s + warm_up_s, whole.to_s - cool_down_s)


def arrived_in(
    sessions: Sequence[SessionRecord], window: Window | None
) -> tuple[SessionRecord, ...]:
    """The sessions that arrived in the window, with their sub-agents; all of them without one."""
    if window is None:
        return tuple(sessions)
    kept: dict[str, SessionRecord] = {}
    for session in sessions:  # a parent comes before its sub-agents
        if window.holds(session.arrived_at) if session.parent is None else session.parent in kept:
            kept[session.session] = session
    return tuple(kept.values())


def proper(from_s: float, to_s: float) -> Window | None:
    """The window between the two; None where no time passes."""
    return Window(from_s, to_s) if to_s - from_s >= SHORTEST_S else None


class Throughput(TypedDict):
    """Work completed per second of a window; None when there is no window."""

    output_tokens_per_s: float | None
    prompt_tokens_per_s: float | None
    sessions_per_s: float | None


def throughput(
    sessions: Sequence[SessionRecord], rounds: Sequence[RoundRecord], window: Window | None
) -> Throughput:
    """Tokens of rounds, and finished sessions, that ended in the window, per second of it.

    Prompt tokens are counted whole, cached or computed. It is what the machine did: sessions that
    were in flight at the start count.
    """
    if window is None:
        return {"output_tokens_per_s": None, "prompt_tokens_per_s": None, "sessions_per_s": None}
    ended = [r for r in rounds if window.holds(r.ended_at)]
    done = [s for s in tops(sessions) if s.outcome == "finished" and window.holds(s.ended_at)]
    return {
        "output_tokens_per_s": sum(r.output_tokens or 0 for r in ended) / window.length_s,
        "prompt_tokens_per_s": sum(r.prompt_tokens or 0 for r in ended) / window.length_s,
        "sessions_per_s": len(done) / window.length_s,
    }
