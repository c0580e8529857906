"""When sessions begin on the wall clock: on a schedule of their own, or one a free lane."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from marsbench.clock import WallClock


class Arriving(Protocol):
    """A session, as far as its arrival goes."""

    @property
    def arrival_s(self) -> float: ...


S = TypeVar("S", bound=Arriving)


async def play_all(
    sessions: Sequence[S],
    lanes: int | None,
    clock: WallClock,
    play: Callable[[S, float], Awaitable[float]],
) -> None:
    """All sessions to their ends, each in a task of its own: open loop, or N lanes kept busy.

    play: a session from its arrival, whose time it is given, to its end, whose time it returns.
    What it raises ends all of them, and is raised.
    """

    async def arrive(session: S) -> None:
        await play(session, await clock.until(session.arrival_s))

    async def lane(queue: deque[S]) -> None:
        at = clock.now
        while queue:
            at = await play(queue.popleft(), at)

    queue = deque(sessions)
    tasks = map(arrive, sessions) if lanes is None else (lane(queue) for _ in range(lanes))
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # they all say the same: there is no server left
