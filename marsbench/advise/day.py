"""When a user begins sessions: the busy half of a recorded day.

Days are laid over each other, and the night is where nobody begins anything for longest. Half of
a day's sessions begin in a stretch of it that is shorter than the other half (the "shorth" of
Andrews et al. 1972, Robust Estimates of Location): that is when a server has to hold, and unlike
the fullest hour it is no accident of a few sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from marsbench.core.workload.draws import exponentials
from marsbench.core.workload.exact import microseconds

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Busy:
    """The busy half of a day.

    knots_s: when sessions began in it, from 0 to its end: between two of them one more does.
    per_user_s: sessions a second that one user begins in it. num_days: on which something began;
    None where nobody recorded when, and a user is taken to be always at work.
    """

    knots_s: tuple[float, ...]
    per_user_s: float
    num_days: int | None

    @property
    def length_s(self) -> float:
        return self.knots_s[-1]

    def times(self, count: int, rate: float, rng: np.random.Generator, by_day: bool) -> list[float]:
        """Seconds at which `count` sessions arrive at a mean rate, the first at 0.

        Poisson arrivals: as dense as recorded at that time of the day (`by_day`), or alike all
        along. A run begins anywhere in the stretch, and goes on with the next day's after its end.
        """
        begin = float(rng.random())
        gaps = exponentials(rng, count).tolist()[:-1]
        places = accumulate((gap / (rate * self.length_s) for gap in gaps), initial=begin)
        knots = self.knots_s if by_day else (0.0, self.length_s)
        times = np.array([_at(place, knots) for place in places])
        found: list[float] = microseconds(times - times[0]).tolist()
        return found


def _at(place: float, knots: Sequence[float]) -> float:
    """Seconds at a place, where each day's stretch is 1 long and sessions lie evenly in it."""
    days = int(place)
    step = (place - days) * (len(knots) - 1)
    number = int(step)
    begin, end = knots[number], knots[number + 1]
    return days * knots[-1] + begin + (step - number) * (end - begin)


def always_at_work(mean_alone_s: float) -> Busy:
    """A user who begins the next session when one would have ended."""
    return Busy((0.0, mean_alone_s), 1 / mean_alone_s, None)


def busy_half(arrivals_s: Sequence[float], mean_alone_s: float, num_users: int) -> Busy:
    """Of the recorded beginnings, of so many users. The day ends when its last session does."""
    times, num_days = _folded(arrivals_s)
    edges = [*times, times[-1] + mean_alone_s]
    half = (len(times) + 1) // 2
    begins = range(len(edges) - half)
    first = min(begins, key=lambda i: (edges[i + half] - edges[i], i))
    knots = edges[first : first + half + 1]
    length_s = knots[-1] - knots[0]
    if length_s <= 0:  # half of them began in one instant: the stretch is until they end
        each_s = num_days * num_users * mean_alone_s
        return Busy((0.0, mean_alone_s), len(times) / each_s, num_days)
    per_user_s = half / (num_days * num_users * length_s)
    return Busy(tuple(knot - knots[0] for knot in knots), per_user_s, num_days)


def _folded(arrivals_s: Sequence[float]) -> tuple[list[float], int]:
    """Seconds of the day, from the end of the longest night on, in order; and how many days."""
    begin = min(arrivals_s)
    if max(arrivals_s) - begin >= DAY_S:
        begin = _morning([time % DAY_S for time in arrivals_s])
    since = [time - begin for time in arrivals_s]
    return sorted(time % DAY_S for time in since), len({time // DAY_S for time in since})


def _morning(times_s: Sequence[float]) -> float:
    """The second of the day that comes after the longest time without a beginning."""
    ordered = sorted(set(times_s))
    before = [ordered[-1] - DAY_S, *ordered]
    nights = [(time - last, -time) for last, time in zip(before, ordered, strict=False)]
    return -max(nights)[1]
