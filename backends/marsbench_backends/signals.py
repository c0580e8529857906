"""What a policy or an admission controller is told: facts of the past, never a call to act.

Times are seconds of whatever clock the engine runs on (virtual in the simulator).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

DEFAULT_TENANT = "default"
"""Whose a session is that names no tenant."""


@dataclass(frozen=True, slots=True)
class Future:
    """What only the clairvoyant are told: the rest of the session, this round included.

    peak_tokens: the longest context of any of its rounds, those that are over included.
    """

    rounds: int
    prompt_tokens: int
    output_tokens: int
    tool_s: float
    next_tool_s: float
    peak_tokens: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that happened at `at` to `session_id`."""

    at: float
    session_id: str


@dataclass(frozen=True, slots=True)
class EngineStarted(Signal):
    """The engine stands, and how large its KV cache is. No session's: `session_id` is empty."""

    num_blocks: int
    block_size: int


@dataclass(frozen=True, slots=True)
class RoundSubmitted(Signal):
    """A round joined the waiting queue. `parent_id` is set for a sub-agent's session.

    tenant: on whose account its session runs.
    """

    round: int
    num_prompt_tokens: int
    parent_id: str | None = None
    future: Future | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class RoundStarted(Signal):
    """A waiting round began to run, or began again after a preemption.

    num_cached_tokens: found computed, in the GPU's cache or loaded from host memory.
    was_evicted: fewer than its session had computed before, so that some are computed again.
    """

    round: int
    waited_s: float
    num_cached_tokens: int
    was_evicted: bool
    resumed: bool


@dataclass(frozen=True, slots=True)
class FirstToken(Signal):
    """A round's first output token exists."""

    round: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class RoundPreempted(Signal):
    """A running round lost its blocks and waits again."""

    round: int
    num_computed_tokens: int


@dataclass(frozen=True, slots=True)
class RoundEnded(Signal):
    """A round ended; its tool calls (names) begin. `num_tokens` is the context so far."""

    round: int
    num_tokens: int
    num_output_tokens: int
    tools: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolStarted(Signal):
    """A tool call began."""

    name: str


@dataclass(frozen=True, slots=True)
class ToolEnded(Signal):
    """A tool call ended.

    queued_s: so many of its `seconds` passed before a worker of the tool host took it: 0 where
        their number is not bounded, since the cores are shared then and a call that others slow
        only takes more seconds. None where nobody measured it, and for a call that never asks
        for a worker (a person, the network, a sub-agent).
    """

    name: str
    seconds: float
    queued_s: float | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded(Signal):
    """The session's last round ended; its state is to be dropped."""

    num_rounds: int


Service: TypeAlias = tuple[str, int, bool]
"""A session, the tokens that a step computed for it, and whether its prompt was in the making."""


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step (or several alike) ended at `at`, `seconds` after it began, having `served` these.

    No signal of one session: by far the most frequent thing there is, it is told once a step.
    """

    at: float
    seconds: float
    served: Sequence[Service]
