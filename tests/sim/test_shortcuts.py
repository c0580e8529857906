"""Every shortcut on and off, on the cases of `make bench` made small: the same events."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytest

from benchmarks.simulator import Case, growing, short
from marsbench.core.settings import EngineSettings
from tests.sim.worlds import HARDWARE, lines

pytestmark = pytest.mark.vllm

CASES = {
    "large blocks": (growing, Case("", 2, 10_000, 64)),
    "small blocks": (growing, Case("", 2, 32_000, 16)),
    "thrashing": (growing, Case("", 2, 9_000, 16)),
    "short rounds": (short, Case("", 10, 4_000, 64)),
}
ROUNDS = 3
SWITCHES = [
    {"fast": fast, "compiled": compiled, "merge": merge}
    for fast, compiled, merge in product((False, True), repeat=3)
    if fast or not compiled  # what is compiled is one of the fast loops
]


def sessions_of(name: str) -> list[Any]:
    made, case = CASES[name]
    return [replace(session, rounds=session.rounds[:ROUNDS]) for session in made(case)]


def events_of(sessions: list[Any], case: Case, **switches: bool) -> tuple[str, set[str]]:
    """The hash of a run's events, and their kinds."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    events: list[Any] = []
    settings = EngineSettings(kv_blocks=case.blocks, block_size=case.block_size)
    Simulation(SimConfig(HARDWARE, settings, **switches), events.append).run(sessions)
    text = "\n".join(lines(events))
    return hashlib.sha256(text.encode()).hexdigest(), {event.kind for event in events}


@pytest.mark.parametrize("name", CASES)
def test_no_shortcut_moves_an_event(name: str) -> None:
    sessions, case = sessions_of(name), CASES[name][1]
    found = [events_of(sessions, case, **switches) for switches in SWITCHES]
    assert len({digest for digest, _ in found}) == 1
    assert ("evicted" in found[0][1]) == (name == "thrashing")


@pytest.mark.parametrize("name", CASES)
def test_times_alone_are_the_same_without_a_scheduler(name: str) -> None:
    from marsbench.core.isolated import _played

    sessions, case = sessions_of(name)[:1], CASES[name][1]
    settings = EngineSettings(kv_blocks=case.blocks, block_size=case.block_size)
    quick, simulated = (
        asdict(_played(sessions, HARDWARE, settings, None, by_solo)) for by_solo in (True, False)
    )
    assert quick == simulated
