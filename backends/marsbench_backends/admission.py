"""What an admission controller decides: which waiting sessions may enter the engine.

It stands in front of the engine, as in the papers: inside the simulator before the scheduler,
live as a proxy. A session that was let in keeps its place through its tool calls until it ends;
sub-agents enter with their parent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench_backends.parameters import ours
from marsbench_backends.signals import DEFAULT_TENANT, Future, Signal


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session that waits to be let in. `future` is told to a clairvoyant controller only."""

    session_id: str
    arrived_at: float
    num_prompt_tokens: int
    future: Future | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the controller sees. A value that was not measured is None.

    num_cpu_calls: tool calls that are known to burn CPU now, or to wait for a worker to do so.
        Calls, whatever cores each can use, for MARS counts active tools and reads no counters. Not
        those that only let time pass (a person who types, the network) nor sub-agents: however
        many they are, `tool_cores` cores are idle.
    num_queried_tokens, num_hit_tokens: what the rounds that began so far asked the prefix cache
        for, and found on the GPU, as vLLM counts (a round does not count again when it resumes).
    """

    now: float
    in_flight: Sequence[Candidate]
    num_blocks: int | None
    free_blocks: int | None
    block_size: int
    num_cpu_calls: int
    tool_cores: int
    arrivals_over: bool
    num_queried_tokens: int | None = None
    num_hit_tokens: int | None = None


class Admission:
    """The decisions of an admission controller. The default lets everyone in at once."""

    clairvoyant: ClassVar[bool] = False
    """Whether candidates come with their future; of no use on a server."""

    per_engine: ClassVar[bool] = True
    """Of several engines behind a router: whether each has a controller of its own, before which
    the sessions wait that are placed there; else one decides for all, and sees them as one."""

    tick_s: float = math.inf
    """Seconds between two askings while sessions wait; arrivals and ends always ask."""

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        """The ids of the sessions to let in now, in that order. `waiting` is in arrival order."""
        return [c.session_id for c in waiting]

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        """What holds back a session that `admit` leaves waiting, in a word; of those it lets in
        nothing is read.

        For the record alone, so a controller need not say.
        """
        return {}

    def mode(self, waiting: Sequence[Candidate], state: EngineState) -> str | None:
        """The regime by which `admit` decides now, in a word; None where there is but one.

        For the record alone: seconds in each are counted while sessions wait.
        """
        return None

    def observe(self, signal: Signal) -> None:
        """Learn from what happened; decide nothing here."""

    def tick(self, state: EngineState) -> None:
        """A control interval has passed: the one place where a controller's window moves."""


@dataclass
class FixedCap(Admission):
    """At most `cap` sessions in flight at an engine, tool calls included; first come, first served.

    The control against unfair wins: an admission limit without any other cleverness. Without a
    cap, `marsbench run` searches the one with the best goodput.
    """

    cap: int | None = ours(None, 4, 8, 16, why="no paper; searched, so that no cap does better")

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < 1:
            raise ValueError(f"cap must be at least 1, not {self.cap}")

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        if self.cap is None:
            raise ValueError("fcfs-cap needs a cap: --set fcfs-cap.cap=8")
        room = max(0, self.cap - len(state.in_flight))
        return [c.session_id for c in waiting[:room]]

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        return {c.session_id: "cap" for c in waiting}
