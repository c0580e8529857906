"""What a scheduling policy decides, and nothing about how vLLM carries it out.

A policy sees a read-only view and answers; it never acts. It has no clock, no I/O, no randomness
and no vLLM in it. Asking twice gives the same answer: only `observe` and `serve` change its state.
State is keyed by session and dropped at `SessionEnded`. Left alone, every answer is vLLM's own
(FCFS).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from marsbench_backends.admission import Admission
from marsbench_backends.signals import Signal, StepEnded


class Req(Protocol):
    """A round as the scheduler sees it. Tokens and blocks are counts, times are seconds."""

    @property
    def request_id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def tenant(self) -> str:
        """On whose account its session runs; "default" where nobody said."""
        ...

    @property
    def round(self) -> int: ...
    @property
    def submitted_at(self) -> float: ...
    @property
    def position(self) -> int:
        """vLLM's own waiting order: the lowest goes first; a preempted request jumps ahead."""
        ...

    @property
    def num_prompt_tokens(self) -> int: ...
    @property
    def num_tokens(self) -> int:
        """Prompt and output so far."""
        ...

    @property
    def num_computed_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int:
        """While it waits: tokens that it would find computed if it began now, in whole blocks.

        Looked up when it is read, and as old as that: others take and give blocks. While it runs:
        what it found when it last began.
        """
        ...

    @property
    def num_blocks(self) -> int:
        """KV blocks it holds; 0 while it waits."""
        ...

    @property
    def num_preemptions(self) -> int: ...
    @property
    def decoding(self) -> bool:
        """Its prompt is computed: it generates one token a step."""
        ...


@dataclass(frozen=True, slots=True)
class Paused:
    """A session between two rounds: its tools run, or (`returned`) its next round waits."""

    session_id: str
    round: int
    num_tokens: int
    num_blocks: int
    paused_at: float
    tools: tuple[str, ...]
    held: bool = False
    held_until: float = -math.inf
    returned: bool = False


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the KV of a session's tokens is, from the first on, and what it costs to have it back.

    load_s: to copy back what is in host memory, on a free link. compute_s: to compute what is
    nowhere, alone. The GPU's tokens cost nothing as long as they are there.
    """

    gpu_tokens: int
    host_tokens: int
    lost_tokens: int
    load_s: float
    compute_s: float


class View(Protocol):
    """The engine as a policy sees it when it is asked."""

    @property
    def now(self) -> float: ...
    @property
    def block_size(self) -> int: ...
    @property
    def num_blocks(self) -> int: ...
    @property
    def free_blocks(self) -> int:
        """Blocks that can be allocated: empty, or cached without a user (LRU)."""
        ...

    @property
    def token_budget(self) -> int:
        """Tokens a step may compute."""
        ...

    @property
    def running(self) -> Sequence[Req]: ...
    @property
    def waiting(self) -> Collection[Req]: ...
    @property
    def paused(self) -> Mapping[str, Paused]: ...

    def prefill_s(self, num_tokens: int, prefix_tokens: int = 0) -> float:
        """Seconds to compute `num_tokens` prompt tokens on a prefix, alone on this engine."""
        ...

    def swap_s(self, num_tokens: int) -> float:
        """Seconds to move the KV of `num_tokens` tokens one way between GPU and host memory."""
        ...

    @property
    def host_free_blocks(self) -> int:
        """Blocks that host memory has room for; 0 without host memory."""
        ...

    @property
    def link_free_at(self) -> float:
        """When the next copy to host memory could begin; inf without host memory."""
        ...

    def whereabouts(self, session_id: str) -> Whereabouts:
        """Of a session that waits, runs or is paused: its context so far. Looked up when asked."""
        ...


@dataclass(frozen=True, slots=True)
class Keep:
    """Hold the session's blocks until that time (or its next round); then be asked again."""

    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Release:
    """Leave the blocks to the prefix cache's LRU, and be asked no more in this pause."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Drop the session's blocks now: they are the next to be reused, and count as evicted."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Move the session's blocks to host memory over the link; they come back with its round.

    They stay held until they have been copied, and then leave the GPU without being evicted; host
    memory that has no room drops what was stored first. Without host memory this is a Release.
    """


@dataclass(frozen=True, slots=True)
class EvictionRank:
    """Where blocks of a session's context stand in the order of eviction, once nobody uses them.

    upto: of those blocks that begin before this token and that no rank before it has.
    rank: the lowest is evicted first, and of one rank what was used least recently; vLLM's is 0.
    until: then their rank is 0 again, as if they had been given back at that instant.
    """

    upto: float
    rank: float
    until: float = math.inf


Retention: TypeAlias = Keep | Release | Discard | Swap
Key: TypeAlias = tuple[float, ...]


class Policy:
    """The decisions of a scheduler. Each default is what vLLM does on its own."""

    sorts_running: ClassVar[bool] = False
    """Whether running requests are served in `running_key` order (else vLLM's own)."""
    clairvoyant: ClassVar[bool] = False
    """Whether `RoundSubmitted.future` is told."""
    host_tokens: int = 0
    """Tokens of KV that host memory is modelled to hold, in the simulator; 0 for none."""
    controller: ClassVar[type[Admission]] = Admission
    """The admission controller that belongs to it; the default lets everyone in."""

    max_running: int | None = None
    """Requests that may run at once, where that is fewer than the engine's own limit."""
    version: int = 0
    """Raised in `observe` when keys of other requests than the signal's own may have changed, and
    in `serve` when keys of waiting ones may have."""

    def waiting_key(self, req: Req, view: View) -> Key:
        """Order of the waiting queue: the lowest key goes first; vLLM stops at the first misfit."""
        return (req.position,)

    def running_key(self, req: Req, view: View) -> Key:
        """Order in which running requests get tokens, if `sorts_running`."""
        return (req.position,)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        """Who is preempted when a running request cannot get a block."""
        return running[-1]

    def yields(self, running: Sequence[Req], view: View) -> Sequence[Req]:
        """Who of the running waits again from this step on, however much memory there is.

        Asked before every step. Their blocks are left to the prefix cache; they have no place of
        their own among the waiting but the one that `waiting_key` gives.
        """
        return ()

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        """Tokens that `req` gets in this step, at most `num_tokens`; 0 passes it over."""
        return num_tokens

    def shrink(self, req: Req, num_tokens: int, room_tokens: int, view: View) -> int:
        """The prefill chunk when `num_tokens` do not fit but `room_tokens` would.

        `num_tokens` itself lets vLLM preempt (or stop admitting); 0 passes the request over.
        """
        return num_tokens

    def retain(self, paused: Paused, view: View) -> Retention:
        """What happens to a paused session's KV: asked when it pauses, and when a Keep runs out."""
        return Release()

    def eviction_order(self, req: Req, view: View) -> Sequence[EvictionRank]:
        """Which of the blocks that `req` gives back are evicted before others, in prompt order.

        Asked when its round ends or is preempted. Blocks past the last rank have vLLM's own. A
        block of several sessions keeps the highest rank that any of them gave it; only the session
        that gave it may lower it.
        """
        return ()

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """Whose hold is given up when `needs` cannot allocate; None lets it fail.

        Asked again until it fits or nothing is held. The default gives up the latest pause first.
        """
        return max(held, key=lambda p: (p.paused_at, p.session_id)).session_id

    def steady_tokens(self, req: Req, view: View) -> float:
        """Tokens of service that `req` can get before an answer about it may change; inf if any.

        The simulator takes steps in which nothing can change as one; it asks this to know.
        """
        return math.inf

    def observe(self, signal: Signal) -> None:
        """Learn from what happened; decide nothing here."""

    def serve(self, step: StepEnded) -> None:
        """Learn whom a step gave tokens; decide nothing here. Told to those who override it."""

    def changes_at(self, view: View) -> float:
        """When an answer may next change by the passing of time alone; inf if never."""
        return math.inf
