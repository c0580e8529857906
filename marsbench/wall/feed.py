"""A gateway's own event stream, read as it grows, and what it is told in return."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from marsbench.core import events
from marsbench.wall.wire import NO_ANSWER


class Feed:
    """What a run and a gateway say to each other. A dead gateway shows elsewhere: in its rounds.

    root: of the gateway, without /v1. answer_s: wall seconds that an answer may take.
    """

    def __init__(self, http: httpx.AsyncClient, root: str, answer_s: float) -> None:
        self._http = http
        self._root = f"{root}/marsbench"
        self._answer_s = answer_s
        self._next = 0
        self._posts: set[asyncio.Task[None]] = set()

    async def news(self) -> list[events.Event]:
        """What it has said since it was last asked; before that, all that it has said."""
        url = f"{self._root}/events?since={self._next}"
        try:
            answer = await self._http.get(url, timeout=self._answer_s)
        except NO_ANSWER:
            return []
        if answer.status_code != 200:
            return []
        self._next = int(answer.headers.get("X-Next", self._next))
        return [events.from_json(line) for line in answer.text.splitlines()]

    def post(self, what: str, body: Mapping[str, object]) -> None:
        """Tell it, without waiting; untold, it infers a call from the gap between rounds."""
        task = asyncio.create_task(self._send(f"{self._root}/{what}", body))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _send(self, url: str, body: Mapping[str, object]) -> None:
        try:
            await self._http.post(url, json=body, timeout=self._answer_s)
        except NO_ANSWER:
            return

    def give_up(self) -> None:
        """Stop the posts that are under way."""
        for task in self._posts:
            task.cancel()

    async def settled(self) -> None:
        """Wait for the posts that are under way."""
        await asyncio.gather(*self._posts, return_exceptions=True)
