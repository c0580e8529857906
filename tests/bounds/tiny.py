"""Every schedule of a tiny world, in the step-time model itself: no scheduler, no heuristics.

A schedule is what each step computes: any set of the rounds that are ready, each prompt in chunks
of any of a few sizes, each decode alone; or nothing until somebody arrives or a tool ends. Blocks
are tokens here. All of them are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from marsbench.core.session import Session
from marsbench.hardware.steptime import Prefill, StepTime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is: its round, tokens computed and generated in it, and when it is ready."""

    ready_at: float
    round: int = 0
    computed: int = 0
    generated: int = 0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class World:
    """chunks: sizes in which a prompt may be computed, beside all that is left of it."""

    sessions: tuple[Session, ...]
    step_time: StepTime
    budget: int
    kv_tokens: int
    chunks: tuple[int, ...] = (2,)


def ends_of_all_schedules(world: World) -> frozenset[tuple[float, ...]]:
    """When each session ends, of every schedule."""

    @cache
    def ends(places: tuple[Place, ...], now: float) -> frozenset[tuple[float, ...]]:
        if all(place.ended_at is not None for place in places):
            return frozenset({tuple(place.ended_at or 0.0 for place in places)})
        found: set[tuple[float, ...]] = set()
        for places_then, then in _moves(world, places, now):
            found |= ends(places_then, then)
        return frozenset(found)

    return ends(tuple(Place(session.arrival_s) for session in world.sessions), 0.0)


def _moves(
    world: World, places: Sequence[Place], now: float
) -> Iterator[tuple[tuple[Place, ...], float]]:
    later = [p.ready_at for p in places if p.ended_at is None and p.ready_at > now]
    if later:
        yield tuple(places), min(later)
    for taken in product(*(_choices(world, i, place, now) for i, place in enumerate(places))):
        if any(taken) and _fits(world, places, taken):
            end = now + _seconds(world, places, taken)
            rows = zip(world.sessions, places, taken, strict=True)
            yield tuple(_after(s, p, tokens, end) for s, p, tokens in rows), end


def _prompt(session: Session, place: Place) -> int:
    return list(session.prompts())[place.round].num_tokens


def _choices(world: World, number: int, place: Place, now: float) -> set[int]:
    """Tokens that the session may compute in this step."""
    if place.ended_at is not None or place.ready_at > now:
        return {0}
    left = _prompt(world.sessions[number], place) + place.generated - place.computed
    return {0, left, *(chunk for chunk in world.chunks if chunk < left)}


def _fits(world: World, places: Sequence[Place], taken: Sequence[int]) -> bool:
    held = [p.computed + tokens for p, tokens in zip(places, taken, strict=True) if tokens]
    return sum(taken) <= world.budget and sum(held) <= world.kv_tokens


def _seconds(world: World, places: Sequence[Place], taken: Sequence[int]) -> float:
    decodes, kv = 0, 0
    prefills: list[Prefill] = []
    for session, place, tokens in zip(world.sessions, places, taken, strict=True):
        last = place.computed + tokens == _prompt(session, place) + place.generated
        if tokens == 1 and last:
            decodes, kv = decodes + 1, kv + place.computed + 1
        elif tokens:
            prefills.append((tokens, place.computed))
    return world.step_time.seconds(decodes, kv, prefills)


def _after(session: Session, place: Place, tokens: int, end: float) -> Place:
    computed = place.computed + tokens
    if not tokens or computed < _prompt(session, place) + place.generated:
        return replace(place, computed=computed)
    generated = place.generated + 1
    rnd = session.rounds[place.round]
    if generated < rnd.output_tokens:
        return replace(place, computed=computed, generated=generated)
    if place.round + 1 == len(session.rounds):
        return replace(place, ended_at=end)
    pause_s = max((call.alone_s for call in rnd.tools), default=0.0)
    return Place(end + pause_s, place.round + 1, computed)
