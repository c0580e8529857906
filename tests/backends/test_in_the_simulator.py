"""Every backend in the table, in vLLM's scheduler under memory pressure, checked at every step.

The golden files are integers of one small run each; `make golden` writes them anew, and the
commit says why they changed.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("vllm")

from backends.world import OF_TENANTS, SETTINGS, simulate, summary, workload, world_of
from marsbench.core.events import (
    Event,
    GpuEnd,
    GpuStart,
    GpuSubmit,
    Held,
    SessionEnded,
    Unheld,
)
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.simulation import Simulation
from marsbench_backends.registry import BACKENDS

pytestmark = pytest.mark.vllm
GOLDEN = Path(__file__).parents[1] / "golden"
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    # A step of this world takes longer than the queue's patience of half a second.
    "affinity, patient": ("affinity", {"max_wait_s": 30.0}),
    "autellix, tokens": (
        "autellix",
        {"service": "tokens", "edges": (300.0, 900.0), "chunk_quanta": (256, 128, 64)},
    ),
    "autellix, short quanta": ("autellix", {"edges": (0.5, 1.0, 2.0), "beta": 0.5}),
    "continuum, warm": ("continuum", {"cold_samples": 5}),
    "infercept, little host memory": ("infercept", {"host_tokens": 3_000}),
    "infercept, no host memory": ("infercept", {"host_tokens": 0, "review_s": 0.5}),
    "las, sessions": ("las", {"by": "session", "half_life_s": 5.0}),
    "vtc, what is computed": ("vtc", {"count_cached": False}),
    "aios-fifo, not blocking": ("aios-fifo", {"blocking": False, "width": 3, "sleep_s": 0.3}),
    "aios-rr, two at once": ("aios-rr", {"width": 2, "slice_s": 2.0}),
    # This world has fewer rounds than the window.
    "progress-ttl, ripe": ("progress-ttl", {"window": 5, "rounds_max": 3}),
    # Contexts of this world are shorter than the default threshold, so that all of them are safe.
    "t-lru, short contexts": ("t-lru", {"threshold_tokens": 300, "next_tokens": 100}),
    "retention, short": ("retention", {"ttl_max_s": 1.0, "system_tokens": 160, "priority": 40}),
    "infercept-static, profiled": ("infercept-static", {"reload_token_s": None}),
}
CASES = {**{name: (name, {}) for name in BACKENDS}, **VARIANTS}


@cache
def run(case: str, merge: bool = True) -> tuple[list[Event], Simulation]:
    backend, parameters = CASES[case]
    return simulate(backend, world_of(backend), merge=merge, **parameters)


@pytest.mark.parametrize("case", CASES)
def test_taking_equal_steps_as_one_changes_no_event(case: str) -> None:
    merged, singly = run(case)[0], run(case, merge=False)[0]
    first = next((pair for pair in zip(merged, singly, strict=False) if pair[0] != pair[1]), None)
    assert first is None
    assert len(merged) == len(singly)
    counters = run(case)[1].counters
    assert counters.schedule_calls < counters.steps


@pytest.mark.parametrize("case", CASES)
def test_taking_equal_steps_as_one_changes_no_count_of_decisions(case: str) -> None:
    assert run(case)[1].decisions == run(case, merge=False)[1].decisions


def test_a_controller_hears_what_the_prefix_cache_found() -> None:
    seen, simulation = run("concur")
    hits = [e.cached_tokens or 0 for e in seen if isinstance(e, GpuStart) and not e.resumed]
    asked = [e.prompt_tokens for e in seen if isinstance(e, GpuSubmit)]
    assert simulation.engine.prefix_tokens() == (sum(asked), sum(hits))


def test_a_policy_hears_how_large_the_kv_cache_is() -> None:
    """Else nobody would ever be paused."""
    policy = run("thunderagent")[1].scheduler.marsbench_policy
    assert policy._capacity == SETTINGS.kv_blocks * SETTINGS.block_size


@pytest.mark.parametrize("backend", OF_TENANTS)
def test_one_tenant_alone_is_served_as_vllm_serves(backend: str) -> None:
    assert simulate(backend, workload())[0] == run("fcfs")[0] != run(backend)[0]


KEPT = EngineSettings(512, 16, kv_blocks=140)
"""For two contexts of 960 tokens, and 20 blocks more."""


def waiting(name: str, arrival_s: float, *, away_s: float) -> Session:
    """960 tokens, then away, then back for a little more."""
    away = (ToolCall("user", floor_s=away_s),)
    return Session(name, (Round(950, 10, away), Round(10, 10)), arrival_s)


def found(backend: str, sessions: list[Session], **parameters: object) -> dict[str, int]:
    """Tokens that each second round found in the cache."""
    seen, _ = simulate(backend, sessions, settings=KEPT, **parameters)
    starts = [e for e in seen if isinstance(e, GpuStart) and e.round == 1]
    return {e.session: e.cached_tokens or 0 for e in starts}


def test_under_t_lru_everybody_loses_a_tail_and_nobody_what_it_needs() -> None:
    sessions = [waiting("a", 0.0, away_s=30.0), waiting("b", 5.0, away_s=30.0)]
    sessions.append(Session("c", (Round(590, 10),), 15.0))
    needed = 960 + 100 - 300
    kept = found("t-lru", sessions, threshold_tokens=300, next_tokens=100)
    assert min(kept.values()) >= needed
    # Under plain LRU a loses more than its tail, and computes it again at b's cost.
    assert max(found("fcfs", sessions).values()) < needed


def test_under_retention_a_marked_context_outlives_what_sub_agents_leave() -> None:
    calls = [
        ToolCall("agent", "agent", child=Session(f"p/{n}", (Round(690, 10),))) for n in range(3)
    ]
    parent = Session("p", tuple(Round(50, 5, (call,)) for call in calls), 5.0)
    sessions = [waiting("a", 0.0, away_s=60.0), parent]
    everything = found("retention", sessions)["a"]
    assert everything > 930
    assert found("fcfs", sessions)["a"] < everything
    assert found("retention", sessions, subagents=True)["a"] < everything
    # A mark that is over protects nobody.
    assert found("retention", sessions, ttl_max_s=1.0)["a"] < everything


def test_every_decision_differs_from_vllms_somewhere() -> None:
    """Else equal counts would prove little. Chunks that shrink: test_mars_in_the_simulator.py."""
    total = Counter[str]()
    for case in CASES:
        decided = run(case)[1].decisions
        assert decided is not None
        total.update({name: count["differed"] for name, count in decided.items()})
    assert {name for name, count in total.items() if count < 3} == {"shrink"}, total


@pytest.mark.parametrize("case", ["fcfs", "fcfs-cap"])
def test_what_decides_as_vllm_does_never_differs(case: str) -> None:
    decided = dict(run(case)[1].decisions or {})
    held_back = decided.pop("admission")
    assert {name: count["differed"] for name, count in decided.items() if count["differed"]} == {}
    assert decided["waiting_order"]["asked"] + held_back["differed"] > 0


@pytest.mark.parametrize("case", CASES)
def test_every_round_of_every_session_ends_once(case: str) -> None:
    ended = Counter((e.session, e.round) for e in run(case)[0] if isinstance(e, GpuEnd))
    family = [one for session in workload() for one in session.walk()]
    assert ended == Counter((s.id, n) for s in family for n in range(len(s.rounds)))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_held_past_its_sessions_end(case: str) -> None:
    seen, simulation = run(case)
    held: set[str] = set()
    for event in seen:
        if isinstance(event, Held):
            held.add(event.session)
        elif isinstance(event, Unheld):
            held.remove(event.session)
        elif isinstance(event, SessionEnded):
            assert event.session not in held
    scheduler = simulation.scheduler
    assert not held
    assert not scheduler.view.paused
    assert scheduler.host is None or not len(scheduler.host.memory)
    assert simulation.kv_blocks()[:2] == (SETTINGS.kv_blocks, SETTINGS.kv_blocks)


def test_the_world_puts_every_decision_to_use() -> None:
    """Else the tests above would prove little."""
    totals = Counter[str]()
    for case in CASES:
        totals.update(summary(*run(case)))
    facts = (
        "preemptions", "holds", "swaps", "revoked", "evicted_blocks", "lost_tokens",
        "swapped_blocks", "loaded_tokens",
    )  # fmt: skip
    for fact in facts:
        assert totals[fact] > 10, f"{fact}: {totals}"


@pytest.mark.parametrize("case", BACKENDS)
def test_nobody_starves_below_capacity(case: str) -> None:
    """Sessions that each need half of the memory, and a fifth of the time that there is."""
    rounds = tuple(Round(600, 20, (ToolCall("bash", floor_s=2.0),)) for _ in range(3))
    sessions = [Session(f"s{n}", rounds, arrival_s=12.0 * n) for n in range(5)]
    seen, _ = simulate(case, sessions, settings=EngineSettings(512, 16, kv_blocks=260))
    ready = {(e.session, e.round): e.at for e in seen if isinstance(e, GpuSubmit)}
    waits = [e.at - ready[e.session, e.round] for e in seen if isinstance(e, GpuStart)]
    assert len(waits) == 15
    assert max(waits) < 5.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_golden(backend: str, rewrite_golden: bool) -> None:
    path, now = GOLDEN / f"{backend}.json", summary(*run(backend))
    if rewrite_golden:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(json.dumps(now, indent=2) + "\n")
    assert path.exists(), f"no {path.name}: `make golden` writes it"
    before = json.loads(path.read_text())
    moved = [f"{k}: {before.get(k)} -> {n}" for k, n in now.items() if before.get(k) != n]
    assert not moved, f"{backend} moved: {', '.join(moved)}; `make golden` if that is meant"
