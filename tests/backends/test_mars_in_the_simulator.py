"""MARS in vLLM's scheduler: every one of its decisions occurs, and equal steps taken as one agree.

`test_in_the_simulator.py` plays all backends with their defaults; here are MARS's parts by
themselves, in a world where each of them has something to do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("vllm")

from backends.world import SETTINGS, hardware, workload
from marsbench.core.events import (
    Event,
    GpuEnd,
    GpuStart,
    Held,
    KvUsage,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    Unheld,
)
from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.simulation import SimConfig, Simulation
from marsbench.judge.paper.parts import PARTS, exercised, without
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file
from marsbench_backends.admission import Admission, EngineState
from marsbench_backends.policies.mars_admission import MarsAdmission
from marsbench_backends.policies.mars_released_admission import MarsReleasedAdmission
from marsbench_backends.registry import Backend, load

pytestmark = pytest.mark.vllm
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "no admission": ("mars", {"admission": False, "level_tokens": (600, 1_500)}),
    "no admission, quick aging": (
        "mars", {"admission": False, "level_tokens": (400, 1_500), "aging_s": 2.0},
    ),
    "no coordinator": ("mars", {"admission": False, "coordinator": False}),
    "no opportunistic": ("mars", {"admission": False, "opportunistic": False}),
    "no shrinking": ("mars", {"admission": False, "shrinking": False}),
    "no retention": ("mars", {"admission": False, "retention": False}),
    "no reservation": ("mars", {"reserve": False, "review_s": 0.2, "hold_share_max": 0.9}),
    "released, small quanta": (
        "mars-released",
        {"quanta": (256, 128, 64, 32), "remaining_tokens": (256, 512, 1_024), "engine_window": 5},
    ),
}  # fmt: skip


def config(backend: str | Backend, parameters: dict[str, object], **facts: Any) -> SimConfig:
    known = {"tool_cores": 8, "check": True}
    return SimConfig(hardware(), SETTINGS, backend, parameters, **{**known, **facts})


@cache
def run(case: str, merge: bool = True, whole_prompt: bool = True) -> tuple[list[Event], int, int]:
    """Every event, the steps, and how often vLLM was asked for one."""
    seen, simulation = played(case, merge, whole_prompt)
    return seen, simulation.counters.steps, simulation.counters.schedule_calls


@cache
def played(case: str, merge: bool, whole_prompt: bool) -> tuple[list[Event], Simulation]:
    settings = replace(SETTINGS, reserve_full_prompt=whole_prompt)
    seen: list[Event] = []
    simulation = Simulation(
        replace(config(*CASES[case], merge=merge), settings=settings), seen.append
    )
    simulation.run(workload())
    return seen, simulation


@pytest.mark.parametrize("whole_prompt", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_taking_equal_steps_as_one_changes_no_count(case: str, whole_prompt: bool) -> None:
    merged, singly = (played(case, merge, whole_prompt)[1].decisions for merge in (True, False))
    assert merged == singly


@pytest.mark.parametrize("whole_prompt", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_taking_equal_steps_as_one_changes_no_event(case: str, whole_prompt: bool) -> None:
    merged, steps, calls = run(case, True, whole_prompt)
    singly = run(case, False, whole_prompt)[0]
    different = (pair for pair in zip(merged, singly, strict=False) if pair[0] != pair[1])
    assert next(different, None) is None
    assert len(merged) == len(singly)
    assert calls < steps


def test_each_part_matters_here() -> None:
    """Switching a part off gives another run, so the parts are at work."""
    runs = {case: run(case, whole_prompt=False)[0] for case in CASES}
    ends = {case: tuple(e for e in seen if isinstance(e, GpuEnd)) for case, seen in runs.items()}
    assert len(set(ends.values())) == len(CASES)


WORLDS = [
    (sessions, blocks, rounds)
    for sessions, rounds in ((2, 9), (5, 9), (14, 9), (14, 1))
    for blocks in (240, 1_000, 4_000)
]
SWITCHES = {
    entry.label: dict(entry.set) for entry in read_sweep_file(find_sweep("reproduce-full")).backends
}
WITHOUT = {part: SWITCHES[without(part)] for part in PARTS}
"""What the shipped sweep switches off without each part."""


@cache
def under(
    sessions: int, blocks: int, rounds: int = 9, **switched: bool
) -> tuple[list[Event], dict[str, Any]]:
    """A crowd or a few of so many rounds at most, in a tight or roomy cache: events, decisions."""
    settings = replace(SETTINGS, kv_blocks=blocks, reserve_full_prompt=False)
    parameters: dict[str, object] = {"level_tokens": (600, 1_500), **switched}
    seen: list[Event] = []
    simulation = Simulation(replace(config("mars", parameters), settings=settings), seen.append)
    simulation.run([replace(s, rounds=s.rounds[:rounds]) for s in workload(sessions)])
    return seen, simulation.decisions or {}


def outcome(seen: list[Event]) -> list[str]:
    """What became of sessions, whoever is named first of two that start in one step."""
    mine = (event for event in seen if not isinstance(event, Held | Unheld | KvUsage))
    return sorted(event.to_json() for event in mine)


def mean_latency(seen: list[Event]) -> float:
    came = {e.session: e.at for e in seen if isinstance(e, SessionArrived) and e.parent is None}
    gone = {e.session: e.at for e in seen if isinstance(e, SessionEnded)}
    return sum(gone[name] - at for name, at in came.items()) / len(came)


@pytest.mark.parametrize("part", ["coordinator", "admission", "shrinking"])
def test_counts_alone_say_that_a_part_made_no_difference(part: str) -> None:
    """A hold that no memory was needed of still moves its session forward in the queue."""
    for world in WORLDS:
        seen, decided = under(*world)
        if not any(decided[name]["differed"] for name in PARTS[part]):
            assert under(*world, **WITHOUT[part])[0] == seen, world


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_decided_nothing_may_as_well_be_off(part: str) -> None:
    """What is called not exercised has made no difference, but for holds that nobody needed."""
    ran = idle = 0
    for world in WORLDS:
        seen, decided = under(*world)
        other = under(*world, **WITHOUT[part])[0]
        ratio = mean_latency(other) / mean_latency(seen)
        counts = {n: (decided[n]["differed"], decided[n]["asked"]) for n in PARTS[part]}
        if exercised(counts, ratio):
            ran += 1
        else:
            idle += 1
            assert outcome(other) == outcome(seen), world
    assert idle > 0
    assert ran > 0 or part == "shrinking", "with admission nothing needs to shrink"


def test_the_shipped_sweep_has_every_part_of_both_rows_and_the_same_switches() -> None:
    for part in PARTS:
        assert SWITCHES[without(part, "mars-published")] == SWITCHES[without(part)]


def test_chunks_that_shrink_are_counted() -> None:
    counts = {
        case: (played(case, True, False)[1].decisions or {})["shrink"]
        for case in ("no admission", "no shrinking", "no opportunistic")
    }
    assert counts["no admission"]["differed"] > 0
    for case in ("no shrinking", "no opportunistic"):
        assert counts[case]["differed"] == 0 < counts[case]["asked"]


def test_who_is_held_back_is_counted_by_what_held_it() -> None:
    held = under(14, 240)[1]["admission"]
    assert held["asked"] == 14 > held["differed"] > 0
    assert set(held["reasons"]) <= {"reserve", "kv", "window", "cut_window"}
    assert held["reasons"]["reserve"] > 0
    assert under(14, 240, admission=False)[1]["admission"]["differed"] == 0


def test_pins_are_revoked_and_others_resumed() -> None:
    reasons = Counter(e.reason for e in run("no admission")[0] if isinstance(e, Unheld))
    assert reasons["revoked"] > 0
    assert reasons["resumed"] > 0
    assert not [e for e in run("no retention")[0] if isinstance(e, Unheld)]


def test_chunks_shrink_down_to_one_block_under_pressure(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def spy(num_tokens: int, room_tokens: int, block_size: int) -> int:
        chunk = halved(num_tokens, room_tokens, block_size)
        seen.append((num_tokens, chunk))
        return chunk

    from marsbench_backends.parts.chunks import halved_to_fit as halved

    monkeypatch.setattr("marsbench_backends.policies.mars.halved_to_fit", spy)
    backend, parameters = CASES["no admission"]
    settings = replace(SETTINGS, reserve_full_prompt=False)
    simulation = Simulation(replace(config(backend, parameters), settings=settings), lambda _: None)
    simulation.run(workload())
    assert any(chunk < asked for asked, chunk in seen), "some chunk shrank"
    assert any(chunk == 16 < asked for asked, chunk in seen), "one to a single block"
    assert any(chunk == asked for asked, chunk in seen), "and one not even a block would fit"


# --- the control plane at work: a story for each of its decisions


class Traced(MarsAdmission):
    """Notes the mode and the window at every tick."""

    def tick(self, state: EngineState) -> None:
        super().tick(state)
        TRACE.append((self._mode, self._window.size))


class TracedReleased(MarsReleasedAdmission):
    """Notes the mode of every question."""

    def _mode(self, waiting: Any, state: EngineState) -> str:
        found = super()._mode(waiting, state)
        TRACE.append((found, self._window.size))
        return found


TRACE: list[tuple[str, int]] = []


def crowd(
    number: int, prompt: int, tool: ToolCall, *, rounds: int = 4, every_s: float = 0.05
) -> list[Session]:
    body = (Round(prompt, 20, (tool,)), *[Round(80, 20, (tool,))] * (rounds - 1))
    sizes = [replace(body[0], append_tokens=prompt + 37 * (n % 5)) for n in range(number)]
    return [Session(f"s{n:02}", (first, *body[1:]), every_s * n) for n, first in enumerate(sizes)]


def trace(
    parameters: dict[str, object],
    sessions: list[Session],
    controller: type[Admission] = Traced,
    **facts: Any,
) -> tuple[list[str], list[int]]:
    TRACE.clear()
    seen: list[Event] = []
    name = "mars" if controller is Traced else "mars-released"
    backend = Backend(name, load(name).policy, controller)
    Simulation(config(backend, parameters, **facts), seen.append).run(sessions)
    arrived = sum(isinstance(e, SessionArrived) for e in seen)
    assert sum(isinstance(e, SessionAdmitted) for e in seen) == arrived == len(sessions)
    return [mode for mode, _ in TRACE], [window for _, window in TRACE]


def test_a_congested_cpu_cuts_the_window_and_reverses_the_order() -> None:
    compile_ = ToolCall("compile", "cpu", cpu_s=2.0)
    limits: dict[str, object] = {"window_init": 10, "window_max": 10}
    modes, windows = trace(limits, crowd(24, 100, compile_), tool_cores=1)
    assert {"small_first", "gpu_heavy_first"} <= set(modes)
    assert min(windows) == 4
    assert any(later > sooner for sooner, later in pairwise(windows))


def test_tight_kv_cuts_the_window_and_packs() -> None:
    wait = ToolCall("wait", floor_s=0.5)
    modes, windows = trace({"reserve": False}, crowd(20, 900, wait, every_s=0.5))
    assert {"small_first", "packing"} <= set(modes)
    assert {21, 14, 9} <= set(windows)


def test_reserved_memory_never_gets_tight() -> None:
    modes, _ = trace({}, crowd(20, 900, ToolCall("wait", floor_s=0.5)))
    assert set(modes) == {"small_first"}


def test_each_released_order_occurs() -> None:
    """Long sessions are those of 1,000 tokens here; one core has one tool call to queue for."""
    longs = crowd(8, 1_200, ToolCall("wait", floor_s=0.5))
    mixed = [
        *crowd(12, 300, ToolCall("compile", "cpu", cpu_s=2.0)),
        *(replace(s, id=f"long-{s.id}", arrival_s=100.0 + s.arrival_s) for s in longs),
    ]
    limits: dict[str, object] = {
        "long_tokens": 1_000, "long_quiet_s": 0.2, "window_init": 6, "cpu_high": 2.0,
    }  # fmt: skip
    modes, _ = trace(limits, mixed, TracedReleased, tool_cores=1)
    assert set(modes) == {
        "low_pressure_fcfs", "short_first", "cpu_overloaded_long_first", "tail_kv_drain_fit",
    }  # fmt: skip


def test_the_released_engine_runs_no_more_than_its_window() -> None:
    settings = EngineSettings(512, 16, kv_blocks=2_000)
    parameters: dict[str, object] = {"engine_window": 3}
    simulation = Simulation(
        replace(config("mars-released", parameters), settings=settings), lambda _: None
    )
    most: list[int] = []
    schedule = simulation.scheduler.schedule

    def watched(*args: Any) -> Any:
        output = schedule(*args)
        most.append(len(simulation.scheduler.running))
        return output

    simulation.scheduler.schedule = watched
    simulation.run(crowd(8, 300, ToolCall("wait", floor_s=0.1)))
    assert max(most) == 3


CUT = Session("a", (Round(318, 28), Round(400, 32, cut=Cut(84, kept_tokens=30))))


@pytest.mark.parametrize("whole_prompt", [True, False])
def test_a_session_is_not_kept_out_by_its_own_hold(whole_prompt: bool) -> None:
    """The hold keeps 21 blocks, of which the cut prompt finds one and needs 31, of 46."""
    settings = EngineSettings(512, 16, kv_blocks=46, reserve_full_prompt=whole_prompt)
    parameters: dict[str, object] = {"hold_share_max": 0.9, "review_s": 0.1}
    seen: list[Event] = []
    Simulation(replace(config("mars", parameters), settings=settings), seen.append).run([CUT])
    assert [e.cached_tokens for e in seen if isinstance(e, GpuStart)] == [0, 16]
