"""A small world under memory pressure, and what a run of it comes to, in integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from marsbench.core import events
from marsbench.core.events import Event
from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.simulation import SimConfig, Simulation
from marsbench.hardware.profile import Hardware, load_hardware

SETTINGS = EngineSettings(max_num_batched_tokens=512, max_num_seqs=16, kv_blocks=240)
"""3,840 tokens of KV for contexts of up to 2,600: two or three sessions at once."""
OF_TENANTS = ("las", "vtc")
"""With one tenant alone they are fcfs."""


@cache
def hardware() -> Hardware:
    """Ten times slower than it is, so that recomputing these short contexts hurts."""
    return load_hardware("qwen3-coder-30b", "h200").with_scale(step=10)


def workload(num_sessions: int = 14, seed: int = 7) -> tuple[Session, ...]:
    """Agents that come within a second; tools from 10 ms to 4 s, two sub-agents, a cut."""
    rng = np.random.default_rng(seed)
    sessions = [_session(f"s{i:02}", rng, 0.05 * i) for i in range(num_sessions)]
    helpers = [_session(f"s00.helper{n}", rng, 0.1 * n) for n in range(2)]
    first = sessions[0]
    calls = tuple(ToolCall("agent", "agent", child=helper) for helper in helpers)
    rounds = (replace(first.rounds[0], tools=calls), *first.rounds[1:])
    return (replace(first, rounds=rounds), *sessions[1:])


def world_of(backend: str) -> tuple[Session, ...]:
    """The workload, in which those who tell tenants apart find two: two of three are red's."""
    if backend not in OF_TENANTS:
        return workload()
    return tuple(
        _owned(session, "blue" if number % 3 == 2 else "red")
        for number, session in enumerate(workload())
    )


def _owned(session: Session, tenant: str) -> Session:
    return replace(session.with_children(lambda child: _owned(child, tenant)), tenant=tenant)


def _session(name: str, rng: np.random.Generator, arrival_s: float) -> Session:
    number = int(rng.integers(2, 6))
    rounds = [Round(int(rng.integers(500, 1_200)), int(rng.integers(5, 60)), (_tool(rng),))]
    for _ in range(number - 1):
        tools = tuple(_tool(rng) for _ in range(int(rng.integers(1, 3))))
        rounds.append(Round(int(rng.integers(20, 300)), int(rng.integers(5, 60)), tools))
    if number == 4:
        rounds[2] = replace(rounds[2], cut=Cut(to_tokens=300, kept_tokens=200))
    return Session(name, tuple(rounds), arrival_s, prefix_group="tools", prefix_tokens=160)


def _tool(rng: np.random.Generator) -> ToolCall:
    name = str(rng.choice(["read", "bash", "test"]))
    seconds = {"read": 0.02, "bash": 0.2, "test": 1.5}[name] * float(rng.uniform(0.5, 3.0))
    if name == "read":
        return ToolCall(name, "wait", floor_s=seconds)
    return ToolCall(name, "cpu", cpu_s=seconds, floor_s=0.05)


def simulate(
    backend: str,
    sessions: Sequence[Session],
    *,
    merge: bool = True,
    settings: EngineSettings = SETTINGS,
    **parameters: object,
) -> tuple[list[Event], Simulation]:
    """Every event of a run whose invariants are checked at every step."""
    if backend == "fcfs-cap":
        parameters.setdefault("cap", 3)
    config = SimConfig(
        hardware(),
        settings,
        backend,
        parameters,
        tool_cores=8,
        merge=merge,
        check=True,
    )
    seen: list[Event] = []
    simulation = Simulation(config, seen.append)
    simulation.run(sessions)
    return seen, simulation


def summary(seen: Sequence[Event], simulation: Simulation) -> dict[str, int]:
    """A run in integers."""
    kinds = Counter(type(event).__name__ for event in seen)
    starts = [event for event in seen if isinstance(event, events.GpuStart)]
    found = [(e.cached_tokens or 0) + (e.loaded_tokens or 0) for e in starts]
    lost = sum(max(0, (e.reusable_tokens or 0) - n) for e, n in zip(starts, found, strict=True))
    moved = {
        "swapped_blocks": sum(e.blocks for e in seen if isinstance(e, events.SwappedOut)),
        "loaded_tokens": sum(event.loaded_tokens or 0 for event in starts),
    }
    return {
        "rounds": kinds["GpuEnd"],
        "steps": simulation.counters.steps,
        "preemptions": kinds["Preempted"],
        "holds": kinds["Held"],
        "swaps": sum(isinstance(e, events.Unheld) and e.reason == "swapped" for e in seen),
        "revoked": sum(isinstance(e, events.Unheld) and e.reason == "revoked" for e in seen),
        "evicted_blocks": sum(e.blocks for e in seen if isinstance(e, events.Evicted)),
        "cached_tokens": sum(event.cached_tokens or 0 for event in starts),
        "lost_tokens": lost,
        "ended_ms": round(max(event.at for event in seen) * 1000),
        **(moved if any(moved.values()) else {}),  # few backends swap
    }
