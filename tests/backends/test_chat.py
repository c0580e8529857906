"""Short chats on an idle server: nothing is scarce, so no backend may cost more than it admits.

The sessions are the recipe's own, 48 of them within 12 s and cut to three rounds, so that more are
open at once (people type between the rounds) than any rule of a backend foresees. What a backend
may lose against fcfs is the table of docs/policies/limits.md, which is read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm")

from marsbench.core.backends import choose
from marsbench.core.events import Event, SessionAdmitted, SessionArrived, SessionEnded
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.simulation import SimConfig, Simulation
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe
from marsbench.hardware.profile import load_hardware
from marsbench.runs.cap_search import best_cap
from marsbench_backends.registry import BACKENDS

pytestmark = pytest.mark.vllm
LIMITS = Path(__file__).parents[2] / "docs" / "policies" / "limits.md"
ROW = re.compile(
    r"^\| `(?P<name>[\w-]+)` \| (?P<most>\d+\.\d\d) \| (?P<lift>[^|]*) \|", re.MULTILINE
)
PAPER = EngineSettings(max_num_batched_tokens=2_048, max_num_seqs=128, block_size=64)
NUM_CHATS = 48


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many times fcfs's mean latency, and the settings that lift the rule behind it."""

    most: float
    lift: tuple[str, ...]


def limits() -> dict[str, Limit]:
    """The table of the documentation."""
    rows = ROW.finditer(LIMITS.read_text())
    return {
        r["name"]: Limit(float(r["most"]), tuple(re.findall(r"[\w.]+=[\w.]+", r["lift"])))
        for r in rows
    }


@cache
def chats(number: int = NUM_CHATS) -> tuple[Session, ...]:
    made = make_workload(load_recipe("chat"), Knobs(sessions=number, rate=4.0))
    return tuple(replace(session, rounds=session.rounds[:3]) for session in made.sessions)


@cache
def played(backend: str, settings: tuple[str, ...] = (), number: int = NUM_CHATS) -> list[Event]:
    seen: list[Event] = []
    choice = choose(backend, settings)
    config = SimConfig(load_hardware(), PAPER, choice.backend, choice.settings, tool_cores=8)
    Simulation(config, seen.append).run(chats(number))
    return seen


def at(seen: list[Event], kind: type[Any]) -> dict[str, float]:
    return {event.session: event.at for event in seen if isinstance(event, kind)}


def mean_latency_s(seen: list[Event]) -> float:
    arrived, ended = at(seen, SessionArrived), at(seen, SessionEnded)
    return sum(ended[name] - arrived[name] for name in arrived) / len(arrived)


def behind(backend: str, settings: tuple[str, ...] = ()) -> float:
    """How many times fcfs's mean latency."""
    if backend == "fcfs-cap" and not settings:
        settings = (f"cap={searched_cap()}",)
    return mean_latency_s(played(backend, settings)) / mean_latency_s(played("fcfs"))


@cache
def searched_cap() -> int:
    def score(cap: int) -> tuple[float, float]:
        return 1.0, -mean_latency_s(played("fcfs-cap", (f"cap={cap}",)))

    return best_cap(score, NUM_CHATS)[0]


def most_inside(seen: list[Event]) -> int:
    """The most sessions in flight at once."""
    changes = [(t, 1) for t in at(seen, SessionAdmitted).values()]
    changes += [(t, -1) for t in at(seen, SessionEnded).values()]
    inside = [sum(step for _, step in sorted(changes)[:n]) for n in range(len(changes) + 1)]
    return max(inside)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nobody_is_further_behind_fcfs_than_documented(backend: str) -> None:
    assert behind(backend) <= limits()[backend].most


@pytest.mark.parametrize("backend", [name for name, limit in limits().items() if limit.lift])
def test_a_limit_is_the_rule_that_is_named_and_no_larger_than_it_must_be(backend: str) -> None:
    limit = limits()[backend]
    assert behind(backend) > limit.most - 0.05
    assert behind(backend, limit.lift) < 1.01


def test_the_table_has_every_backend_and_a_cure_for_each_that_falls_behind() -> None:
    assert limits().keys() == set(BACKENDS)
    assert {name for name, limit in limits().items() if limit.most > 1.01} == {
        name for name, limit in limits().items() if limit.lift
    }


def test_more_chats_are_open_at_once_than_mars_has_places_for() -> None:
    assert most_inside(played("fcfs")) > 30
    assert most_inside(played("mars")) == 30
    assert most_inside(played("mars-released")) == 20


@pytest.mark.parametrize("backend", ["mars", "mars-released"])
def test_places_that_nobody_needs_change_no_event(backend: str) -> None:
    lift = limits()[backend].lift
    assert most_inside(played("fcfs", number=20)) > 15
    assert played(backend, lift, number=20) == played(backend, number=20)
