"""Small worlds to simulate: random sessions, tiny KV caches, and what came out as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from hypothesis import strategies as st

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.hardware.profile import load_hardware
from marsbench.replicas.router import (
    MovingRouter,
    Placement,
    ReplicaView,
    RoundKey,
    RoundToPlace,
)
from marsbench_backends.admission import FixedCap
from marsbench_backends.policy import Discard, EvictionRank, Keep, Policy, Release, Retention, Swap

HARDWARE = load_hardware()
GROUP_TOKENS = 100


def tools() -> st.SearchStrategy[ToolCall]:
    seconds = st.floats(0, 0.5).map(lambda s: round(s, 3))
    burning = st.builds(
        ToolCall,
        st.just("test"),
        st.just("cpu"),
        cpu_s=seconds,
        floor_s=seconds,
        cores=st.integers(1, 4),
    )
    waiting = st.builds(ToolCall, st.just("fetch"), st.just("wait"), floor_s=seconds)
    return burning | waiting


def rounds(first: bool) -> st.SearchStrategy[Round]:
    return st.builds(
        _round,
        append_tokens=st.integers(GROUP_TOKENS if first else 0, 400),
        output_tokens=st.integers(1, 40),
        tools=st.lists(tools(), max_size=2).map(tuple),
        cut=st.none() if first else st.none() | cuts(),
    )


def _round(append_tokens: int, cut: Cut | None, **facts: Any) -> Round:
    """A prompt has a token at least."""
    bare = cut is not None and not cut.to_tokens
    return Round(max(append_tokens, int(bare)), cut=cut, **facts)


def cuts() -> st.SearchStrategy[Cut]:
    return st.integers(0, 150).flatmap(
        lambda to: st.builds(Cut, st.just(to), kept_tokens=st.integers(0, to))
    )


@st.composite
def sessions(draw: st.DrawFn, children: bool = True) -> Session:
    """A session without an id; about a third share a prefix, a few call sub-agents or branches."""
    first = draw(rounds(first=True))
    more = draw(st.lists(rounds(first=False), max_size=3))
    group = draw(st.sampled_from([None, None, "g"]))
    if children and more and draw(st.integers(0, 4)) == 0:
        below = draw(st.lists(sessions(children=False), min_size=1, max_size=2))
        context = first.append_tokens + first.output_tokens
        taken = draw(st.sampled_from([0, context, context // 2]))
        agents = (ToolCall("agent", "agent", 0, 0.1, branch(child, taken)) for child in below)
        first = replace(first, tools=(*first.tools, *agents))
    return Session(
        "child",
        (first, *more),
        arrival_s=round(draw(st.floats(0, 2)), 3),
        prefix_group=group,
        prefix_tokens=GROUP_TOKENS if group else 0,
    )


@st.composite
def workloads(draw: st.DrawFn) -> list[Session]:
    """One to eight sessions with ids of their own."""
    found = draw(st.lists(sessions(), min_size=1, max_size=8))
    return [named(session, f"s{i}") for i, session in enumerate(found)]


def branch(child: Session, taken: int) -> Session:
    """The child behind so many tokens of its parent's context; as it is where they are none."""
    if not taken:
        return child
    first, *others = child.rounds
    longer = replace(first, append_tokens=taken + first.append_tokens)
    return replace(
        child,
        rounds=(longer, *others),
        prefix_group=None,
        prefix_tokens=0,
        fork_tokens=taken,
    )


def named(session: Session, name: str) -> Session:
    """The session under this id, its sub-agents under ids below it."""
    rounds = tuple(
        replace(
            rnd,
            tools=tuple(
                t if t.child is None else replace(t, child=named(t.child, f"{name}/{i}.{j}"))
                for j, t in enumerate(rnd.tools)
            ),
        )
        for i, rnd in enumerate(session.rounds)
    )
    return replace(session, id=name, rounds=rounds)


def enough_blocks(workload: list[Session], block_size: int) -> int:
    """Blocks that hold the longest context alone, and not much more."""
    peak = max(s.peak_tokens for root in workload for s in root.walk())
    return peak // block_size + 2


def lines(events: list[Any]) -> list[str]:
    return [event.to_json() for event in events]


class Stubborn(Policy):
    """Holds every pause for ever, and yields to nobody."""

    def retain(self, paused: Any, view: Any) -> Keep:
        return Keep()

    def reclaim(self, held: Any, needs: Any, view: Any) -> None:
        return None


class Restless(Policy):
    """Answers pauses in every way that there is, by turns, with a host memory of 40 blocks."""

    host_tokens = 640

    def retain(self, paused: Any, view: Any) -> Retention:
        if paused.returned:
            return Keep()
        turn = sum(paused.session_id.encode()) + paused.round
        if turn % 2 and not paused.held:
            return Keep(view.now + 0.05)
        return (Swap(), Discard(), Swap(), Release())[turn // 2 % 4]


class Sliced(Policy):
    """Gives every prefill a small chunk, so that several run at once."""

    def chunk(self, req: Any, num_tokens: int, view: Any) -> int:
        return min(num_tokens, 20 + 4 * (len(req.session_id) % 3))


class Ranks(Policy):
    """Ranks what is given back in every way that there is."""

    def eviction_order(self, req: Any, view: Any) -> Sequence[EvictionRank]:
        turn = sum(req.session_id.encode()) + req.round + req.num_preemptions
        now, middle = view.now, req.num_tokens / 2
        return (
            (EvictionRank(middle, 2.0, now + 0.07), EvictionRank(math.inf, -1.0)),
            (EvictionRank(math.inf, 1.0, now + 0.03),),
            (),
            (EvictionRank(min(40.0, middle), 0.5), EvictionRank(middle, -2.0, now + 0.2)),
        )[turn % 4]


class Ranking(Restless):
    """The same beside holds, discards and swaps."""

    eviction_order = Ranks.eviction_order


@dataclass
class Nomad(MovingRouter):
    """Sends each round one further, and has the context come along from where it was longest."""

    _num: int = field(default=0, init=False)

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int | Placement:
        most = max(replicas, key=lambda one: (one.matched_tokens or 0, -one.index))
        return Placement(replicas[self._num % len(replicas)].index, most.index)

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._num += 1

    def lost(self, key: RoundKey) -> None:
        self._num += 1


@dataclass
class Spreads(Nomad):
    """First rounds go to replica 0; a later one to the next of the others, with its context."""

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int | Placement:
        return Placement(1 + self._num % (len(replicas) - 1), 0) if ask.round else 0


@dataclass
class OneForAll(FixedCap):
    """A cap over all engines."""

    per_engine: ClassVar[bool] = False


class CappedInAll(Policy):
    """vLLM's order behind a controller that oversees all engines."""

    controller = OneForAll


@dataclass
class Away(Nomad):
    """s1 goes to replica 1, as do later rounds; first rounds of others to replica 0."""

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        return int(ask.round > 0 or ask.session == "s1")
