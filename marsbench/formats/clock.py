"""Seconds of what one recording timed, and what is taken where its clock fails it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from marsbench.formats.fallback import Fallback
from marsbench.formats.reading import Repair

STEPPED_BACK = "a clock that stepped back"
MISSING = "a time that is missing"
OVERLAPPING = "calls at the same time, taken one after another"


@dataclass(slots=True)
class ToolClock:
    """What one session's recording says of its tools' times.

    has_times: whether it timed any; where it did, one that is missing is taken as 0 and said, and
        where it did not, the option that states a time is asked for. repairs: what was taken so.
    """

    fallback: Fallback
    has_times: bool
    repairs: list[Repair] = field(default_factory=list)

    def waited(self, begin_s: float | None, end_s: float | None, of: str) -> float:
        """From the call of a tool to its answer. Raises ReadError naming the option."""
        return self.took(None if begin_s is None or end_s is None else end_s - begin_s, of)

    def passed(self, begin: datetime | None, end: datetime | None, of: str) -> float:
        """The same of dates, whose difference is exact."""
        return self.took(
            None if begin is None or end is None else (end - begin).total_seconds(), of
        )

    def took(self, seconds: float | None, of: str) -> float:
        """As long as its two stamps are apart, if that can be."""
        if seconds is None:
            return self.unknown(of)
        if seconds >= 0:
            return seconds
        taken = self.fallback.tool_s or 0.0
        self._mend(STEPPED_BACK, f"{of} was answered {-seconds:g} s before it was asked", taken)
        return taken

    def unknown(self, of: str) -> float:
        """Of a call that nobody timed."""
        if self.fallback.tool_s is not None or not self.has_times:
            return self.fallback.tool_time(of)
        self._mend(MISSING, f"{of} has no recorded tool time", 0.0)
        return 0.0

    def _mend(self, kind: str, what: str, taken_s: float) -> None:
        self.repairs.append(Repair(kind, f"{what}; its time is taken as {taken_s:g} s"))


def span_of(times: Iterable[float | None]) -> float | None:
    """Seconds that a clock went forward, from the first of these times to the last.

    That it stepped back takes nothing off. None of less than two times.
    """
    known = [time for time in times if time is not None]
    if len(known) < 2:
        return None
    return math.fsum(max(0.0, after - before) for before, after in pairwise(known))


def seconds_of(time: datetime) -> float:
    """Since 1970; a time without a zone is taken as UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
