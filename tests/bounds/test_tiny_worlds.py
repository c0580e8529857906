"""No schedule at all passes the bounds, in worlds so small that all of them can be tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bounds.tiny import World, ends_of_all_schedules
from marsbench.bounds import bounds
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload
from marsbench.hardware.profile import load_hardware

HARDWARE = load_hardware()
ALPHAS = (1.0, 1.2, 1.5, 2.0, 3.0)


def session(name: str, at: float, *rounds: tuple[int, int, float]) -> Session:
    """Rounds of (appended, generated, seconds of the tool after it)."""
    made = tuple(
        Round(append, output, (ToolCall("wait", floor_s=pause_s),) if pause_s else ())
        for append, output, pause_s in rounds
    )
    return Session(name, made, at)


WORLDS = {
    "two alike": (session("a", 0.0, (4, 4, 0)), session("b", 0.0, (4, 4, 0))),
    "three at once": tuple(session(n, 0.0, (2, 2, 0)) for n in "abc"),
    "one comes late": (
        session("a", 0.0, (4, 5, 0)),
        session("b", 0.004, (4, 2, 0)),
    ),
    "with pauses": (
        session("a", 0.0, (2, 2, 0.006), (1, 2, 0)),
        session("b", 0.001, (2, 1, 0.002), (1, 1, 0)),
    ),
    "four of a token": tuple(session(n, 0.002 * i, (1, 1, 0)) for i, n in enumerate("abcd")),
}


def settings(kv_tokens: int, budget: int) -> EngineSettings:
    return EngineSettings(
        max_num_batched_tokens=budget, max_num_seqs=4, block_size=1, kv_blocks=kv_tokens
    )


@pytest.mark.parametrize("kv_tokens", [10, 40])
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_no_schedule_of_all_passes_them(world: tuple[Session, ...], kv_tokens: int) -> None:
    budget = 8
    alone = {s.id: _alone_s(s, budget) for s in world}
    found = bounds(Workload("tiny", world), HARDWARE, settings(kv_tokens, budget), 8, alone, ALPHAS)
    schedules = ends_of_all_schedules(World(world, HARDWARE.step_time, budget, kv_tokens))
    arrivals = [s.arrival_s for s in world]
    latencies = [[end - at for end, at in zip(ends, arrivals, strict=True)] for ends in schedules]
    best_s = min(sum(latency) / len(world) for latency in latencies)
    assert best_s * 0.5 < found.mean_latency_s <= best_s * (1 + 1e-9)
    for alpha in ALPHAS:
        due = [alpha * alone[s.id] + 1e-9 for s in world]
        most = max(
            sum(took <= late for took, late in zip(latency, due, strict=True))
            for latency in latencies
        )
        assert most <= found.good[alpha]


def test_a_bound_says_more_than_time_alone_where_memory_holds_one_at_a_time() -> None:
    world = tuple(session(n, 0.0, (10, 8, 0)) for n in "abc")
    alone = {s.id: _alone_s(s, 16) for s in world}
    found = bounds(Workload("tiny", world), HARDWARE, settings(19, 16), 8, alone, (1.5,))
    assert found.mean_latency_s > 1.4 * sum(alone.values()) / 3
    assert found.good[1.5] < 3


def _alone_s(one: Session, budget: int) -> float:
    """The least time that it takes without others."""
    only = World((replace(one, arrival_s=0.0),), HARDWARE.step_time, budget, 1_000)
    return min(float(ends[0]) for ends in ends_of_all_schedules(only))
