"""How far a run is from steady: 0 where it is, and an interval that says how surely."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from marsbench.core.metrics.backlog import NUM_BATCHES, SMALLEST_BATCH, Backlog, backlog
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.core.metrics.window import Window
from metrics.story import a_session, sessions

SESSIONS = 200
Stay = Callable[[random.Random, float], float]


def run(stay: Stay, seed: int, number: int = SESSIONS, warm: int = 0) -> list[SessionRecord]:
    """Poisson arrivals, one a second; `stay` gives when a session that comes at an instant ends."""
    dice, at, parts = random.Random(seed), 0.0, []
    for name in range(number):
        at += dice.expovariate(1.0)
        parts.append(a_session(f"s{name}", at, stay(dice, at)))
    parts += [a_session(f"w~warm{n}", 0.0, dice.expovariate(0.1)) for n in range(warm)]
    return sessions(*parts)


def measured(stay: Stay, seed: int, skip: int = 50, warm: int = 0) -> Backlog:
    found = run(stay, seed, warm=warm)
    times = sorted(s.arrived_at for s in found)
    result = backlog(found, Window(times[skip], times[-1]))
    assert result is not None
    return result


def infinitely_many_servers(dice: random.Random, at: float) -> float:
    return at + dice.expovariate(0.1)


def one_server(load: float) -> Stay:
    """First come, first served."""
    free_at = 0.0

    def stay(dice: random.Random, at: float) -> float:
        nonlocal free_at
        free_at = max(free_at, at) + dice.expovariate(1 / load)
        return free_at

    return stay


def test_a_steady_backlog_is_told_from_a_growing_one() -> None:
    """The interval holds 0 in 95 of 100 steady runs or more, in few of those that pile up."""
    steady = [measured(infinitely_many_servers, seed, warm=10) for seed in range(100)]
    busy = [measured(one_server(0.8), seed) for seed in range(100)]
    growing = [measured(one_server(2.0), seed) for seed in range(100)]
    holds = [sum(b["drift_low"] <= 0 <= b["drift_high"] for b in own) for own in (steady, busy)]
    assert min(holds) >= 95
    assert sum(b["drift_low"] > 0 for b in growing) >= 95
    # A server of load 2 ends half of what comes.
    assert sum(b["drift"] for b in growing) / 100 == pytest.approx(0.5, abs=0.05)
    assert sum(b["drift_low"] <= 0.5 <= b["drift_high"] for b in growing) >= 90


def test_the_numbers_of_a_backlog_that_grows_by_one_in_two() -> None:
    """One comes a second, and every other one never ends: 5 more in each batch of 10."""
    number = 10 * NUM_BATCHES + 1
    stories = [a_session(f"s{i}", float(i), i + 0.5 if i % 2 == 0 else None) for i in range(number)]
    found = backlog(sessions(*stories), Window(0.0, number - 1.0))
    assert found is not None
    assert (found["at_start"], found["at_end"]) == (0, number // 2)
    assert (found["drift"], found["drift_low"], found["drift_high"]) == (0.5, 0.5, 0.5)


def test_those_in_flight_at_the_start_are_in_the_backlog_and_are_no_arrivals() -> None:
    stories = [a_session(f"s{i}", float(i), i + 0.5) for i in range(101)]
    warm = [a_session(f"w~warm{i}", 0.0, 30.2) for i in range(7)]
    found = backlog(sessions(*stories, *warm), Window(0.5, 100.0))
    assert found is not None
    assert (found["at_start"], found["at_end"]) == (7, 0)
    assert found["mean"] == pytest.approx((7 * 29.7 + 0.5 * 99) / 99.5)


def test_a_short_run_cannot_tell() -> None:
    enough = NUM_BATCHES * SMALLEST_BATCH + 1
    for number, tells in ((enough, True), (enough - 1, False)):
        found = sessions(*(a_session(f"s{i}", float(i), i + 0.5) for i in range(number)))
        assert (backlog(found, Window(0.0, 1e9)) is not None) == tells
