"""A session as the gateway knows it: its rounds that wait or are answered, its calls that run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from marsbench.gateway.request import RoundRequest

Outcome = Literal["answered", "refused", "failed", "left"]
"""How a round ended: with its answer, with an error that was said (the server's, or ours to a round
that was never let in), because the server failed, or because the client went away."""


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

    num_calls: tool calls of the round that ended last.
    tells_tools: its client posts its tool calls, so nothing is inferred any more.
    disarm: stops the timer that ends the session as abandoned.
    """

    id: str
    parent_id: str | None
    admitted: bool = False
    waiting: list[OpenRound] = field(default_factory=list)
    num_rounds: int = 0
    num_active: int = 0
    calls: list[RunningCall] = field(default_factory=list)
    num_calls: int = 0
    tells_tools: bool = False
    disarm: Callable[[], None] | None = None

    def quiet(self) -> None:
        """Stop that timer."""
        if self.disarm is not None:
            self.disarm()
            self.disarm = None


@dataclass(slots=True, eq=False)
class OpenRound:
    """A request of a session, from its arrival to the end of its answer."""

    session: OpenSession
    request: RoundRequest
    waiter: Waiter
