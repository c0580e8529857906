"""Who else is at the server: sessions of somebody else change every figure of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console

from marsbench.runs import CautionNote
from marsbench.text.cautions import print_caution
from marsbench.wall.server import Server, control_headers, json_told, metrics_told
from marsbench.wall.wire import NO_ANSWER

LOOKS = 10
APART_S = 0.2
"""What a client leaves behind that has just been killed takes a moment to go."""
ANSWER_S = 5.0


@dataclass(slots=True)
class Company:
    """Sessions of others, as far as they show: the gateway's, or else the server's requests.

    shared: the run was told that it shares its server, and counts all the same.
    at_first: in flight when it began. later: come while it was on, where a gateway says so.
    """

    shared: bool
    at_first: int = 0
    later: int = 0

    @property
    def text(self) -> str:
        """What was seen; empty where nothing was."""
        seen = {"in flight when the run began": self.at_first, "new while it was on": self.later}
        told = [f"{number} {what}" for what, number in seen.items() if number]
        return f"sessions of others: {', '.join(told)}" if told else ""

    def reasons(self) -> list[str]:
        """Why the run is not valid."""
        if self.shared or not self.text:
            return []
        return [f"the run was not alone at its server: {self.text}; {CURE}"]

    def cautions(self) -> Iterator[CautionNote]:
        """What to know of a run that shares its server on purpose."""
        if self.shared and self.text:
            yield CautionNote(
                code="SHARED",
                text=f"The server was shared: {self.text}; compare only with runs that shared it "
                "alike, or wait until nobody else is there.",
            )


CURE = "wait until they have ended, or give --share where they belong there"


async def look_around(
    http: httpx.AsyncClient, server: Server, company: Company, show: bool
) -> None:
    """Count who is in flight, just before a run begins; said at once where somebody is."""
    for _ in range(LOOKS):
        company.at_first = await _in_flight(http, server)
        if not company.at_first:
            return
        await asyncio.sleep(APART_S)
    if show:
        which = "" if company.shared else f"; the run will not be valid: {CURE}"
        print_caution(Console(stderr=True), f"{company.text}{which}.", "SHARED")


async def _in_flight(http: httpx.AsyncClient, server: Server) -> int:
    """Sessions at the gateway; without one the requests that the server tells of."""
    if server.gateway is not None:
        info = json_told(await _get(http, f"{server.root}/marsbench/info")) or {}
        return _count(info, "sessions_waiting") + _count(info, "sessions_in_flight")
    told = metrics_told(await _get(http, f"{server.root}/metrics"))
    return 0 if told is None else (told.running or 0) + (told.waiting or 0)


def _count(info: dict[str, Any], name: str) -> int:
    number = info.get(name)
    return number if isinstance(number, int) else 0


async def _get(http: httpx.AsyncClient, url: str) -> httpx.Response | None:
    try:
        return await http.get(url, timeout=ANSWER_S, headers=control_headers())
    except NO_ANSWER:
        return None
