"""A session as the gateway knows it: its rounds that wait or are answered, its calls that run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from marsbench.gateway.ending import Rhythm
from marsbench.gateway.request import RoundRequest
from marsbench_backends.signals import DEFAULT_TENANT


class Clock(Protocol):
    """Seconds, and things to do later."""

    @property
    def now(self) -> float: ...
    def later(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Do it in so many seconds; what is returned takes that back."""
        ...


class Waiter(Protocol):
    """A request that is held until its session is in."""

    def go(self) -> None: ...
    def refuse(self, why: str) -> None: ...


@dataclass(slots=True)
class RunningCall:
    """A tool call that runs.

    key: the client's own name for it, None when it gave none.
    burns_cpu: whether it is load on the tool host; None is not known.
    is_agent: a sub-agent runs in it, so it takes no core.
    """

    number: int
    name: str
    key: str | None
    started_at: float
    burns_cpu: bool | None
    is_agent: bool = False


@dataclass(slots=True, eq=False)
class OpenSession:
    """A session that has asked for a round and has not ended.

    num_prompt_tokens: of its first prompt.
    is_named: its client says whose its rounds are; else the gateway has made its name up.
    num_calls: tool calls of the round that ended last.
    tells_tools: its client posts its tool calls, so nothing is inferred any more.
    num_answered: rounds that were answered.
    has_tools: one of its answers was not of a mere chat.
    was_left: its client broke off the turn that ended last.
    came_back: it went on once after its place was given up.
    is_idle: it is silent for longer than is usual for it, so whoever waits may have its place.
    disarm: stops the timer of its silence.
    """

    id: str
    parent_id: str | None
    num_prompt_tokens: int
    is_named: bool = True
    tenant: str = DEFAULT_TENANT
    admitted: bool = False
    waiting: list[OpenRound] = field(default_factory=list)
    num_rounds: int = 0
    num_active: int = 0
    calls: list[RunningCall] = field(default_factory=list)
    num_calls: int = 0
    tells_tools: bool = False
    num_answered: int = 0
    rhythm: Rhythm = field(default_factory=Rhythm)
    has_tools: bool = False
    was_left: bool = False
    came_back: bool = False
    is_idle: bool = False
    disarm: Callable[[], None] | None = None

    @property
    def may_be_over(self) -> bool:
        """A question was asked and answered, and nothing shows that there will be another."""
        return not self.has_tools and self.num_rounds == 1 and not self.came_back

    def quiet(self) -> None:
        """Stop that timer: something is heard of it."""
        self.is_idle = False
        if self.disarm is not None:
            self.disarm()
            self.disarm = None


@dataclass(slots=True, eq=False)
class OpenRound:
    """A request of a session, from its arrival to the end of its answer.

    number: among its session's rounds, from when it is let in.
    """

    session: OpenSession
    request: RoundRequest
    waiter: Waiter
    number: int = 0
