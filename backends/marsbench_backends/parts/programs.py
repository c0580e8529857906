"""Programs as a router in front of the engine knows them: who thinks, who acts, who is paused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(slots=True)
class PausableProgram:
    """A session. It reasons from the arrival of a request to its answer, and acts in between.

    tokens: its context, the request that waits included. paused: its request, if it has one or
    comes with one, waits in front of the engine. marked: to be paused when its answer is complete.
    since: when it began to reason or to act. let_in_at: when its last request was passed on.
    """

    session_id: str
    tokens: int
    num_requests: int = 0
    reasoning: bool = True
    paused: bool = False
    marked: bool = False
    since: float = 0.0
    let_in_at: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether a request of it is held back."""
        return self.paused and self.reasoning

    @property
    def resume_rank(self) -> int:
        """Who has answered a request before and waits goes first, then the new, then who acts."""
        if self.num_requests == 1:
            return 1
        return 0 if self.reasoning else 2


Program = TypeVar("Program", bound=PausableProgram)


class Programs(Generic[Program]):
    """All that live, by session, in the order in which they came.

    make: a program of a session with so many tokens.
    """

    def __init__(self, make: Callable[[str, int], Program]) -> None:
        self._make = make
        self._by_session: dict[str, Program] = {}

    def __iter__(self) -> Iterator[Program]:
        return iter(self._by_session.values())

    def get(self, session_id: str) -> Program | None:
        return self._by_session.get(session_id)

    def request(self, session_id: str, tokens: int, at: float) -> Program:
        """A request came, with a prompt of so many tokens."""
        one = self._by_session.setdefault(session_id, self._make(session_id, tokens))
        one.tokens, one.reasoning, one.since = tokens, True, at
        one.num_requests += 1
        return one

    def answered(self, session_id: str, tokens: int, at: float) -> None:
        """Its request was answered; a program that was marked is paused now."""
        one = self._by_session.get(session_id)
        if one is not None:
            one.tokens, one.reasoning, one.since = tokens, False, at
            one.paused, one.marked = one.paused or one.marked, False

    def forget(self, session_id: str) -> None:
        self._by_session.pop(session_id, None)

    def active(self, *, reasoning: bool) -> list[Program]:
        """Those that are not paused and reason, or act; the smallest first."""
        found = [one for one in self if not one.paused and one.reasoning is reasoning]
        return sorted(found, key=lambda one: (one.tokens, one.session_id))

    def paused(self) -> list[Program]:
        """In the order in which they are to be resumed."""
        found = [one for one in self if one.paused]
        return sorted(found, key=lambda one: (one.resume_rank, one.tokens, one.session_id))


class PausablePrograms(Programs[PausableProgram]):
    """Those of which nothing more need be known."""

    def __init__(self) -> None:
        super().__init__(PausableProgram)
