"""Admissions of a gateway in the stream: what it says of itself, on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from live.world import Call, Done, Server, a_session, play, serving
from marsbench.clock import monotonic
from marsbench.core.events import GpuFirstToken, GpuSubmit, SessionAdmitted, SessionArrived
from marsbench.core.session import Round, Session, ToolCall

HOLD_S = 0.3


class Holding:
    """A gateway that lets every session in HOLD_S after its first request, and says so."""

    def __init__(self, silent: bool = False) -> None:
        self.lines: list[str] = [SessionArrived(1.0, "old").to_json()]
        self.silent = silent
        self.told_s: dict[str, float] = {}  # how long each waited
        self.over_after: list[int] = []  # how many sessions had come when arrivals were over

    async def script(self, call: Call) -> web.StreamResponse:
        if call.body["vllm_xargs"]["marsbench_round"] == 0 and "child" not in call.session:
            there = self._now
            self._say(SessionArrived(there, call.name))
            await asyncio.sleep(HOLD_S)
            let_in = self._now
            self._say(SessionAdmitted(let_in, call.name))
            self.told_s[call.session] = let_in - there
        return await call.answer(0.01)

    async def info(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"backend": "fcfs", "parameters": {}, "speed": 1.0})

    async def events(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["since"])
        text = "".join(f"{line}\n" for line in self.lines[since:])
        return web.Response(text=text, headers={"X-Next": str(len(self.lines))})

    async def arrivals_over(self, _request: web.Request) -> web.StreamResponse:
        self.over_after.append(sum("session_arrived" in line for line in self.lines) - 1)
        return web.Response(status=204)

    @property
    def _now(self) -> float:
        return monotonic() + 1e6  # nobody's zero

    def _say(self, event: SessionArrived | SessionAdmitted) -> None:
        if not self.silent:
            self.lines.append(event.to_json())

    @property
    def routes(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        named = ("info", "events", "arrivals_over")
        return {f"/marsbench/{name}": getattr(self, name) for name in named}


def at(done: Done, kind: type[Any]) -> dict[str, float]:
    """When it happened to each session, in its first round."""
    found = [event for event in done.events if isinstance(event, kind)]
    return {event.session: event.at for event in found if not getattr(event, "round", 0)}


def through(tmp_path: Path, gateway: Holding, sessions: list[Session]) -> tuple[Done, Server]:
    with serving(gateway.script, routes=gateway.routes) as server:
        return play(tmp_path, server.url, sessions), server


@pytest.mark.usefixtures("patient")
def test_a_request_was_submitted_when_it_was_let_in(tmp_path: Path) -> None:
    many = [a_session(f"s{n}", 0.05 * n) for n in range(8)]
    gateway = Holding()
    done, _ = through(tmp_path, gateway, many)
    assert done.summary["valid"], done.summary["reasons"]
    arrived, admitted, submitted = (
        at(done, kind) for kind in (SessionArrived, SessionAdmitted, GpuSubmit)
    )
    assert arrived.keys() == admitted.keys() == submitted.keys()
    assert submitted == admitted
    # Beside what the gateway says, a session waits for as long as the client is late with it.
    late_s = done.client["send_lag_s"]["max"]
    for name, told_s in gateway.told_s.items():
        assert told_s <= admitted[name] - arrived[name] + 1e-6 <= told_s + late_s + 2e-6
    ttft = {since: done.summary["ttft"][since]["first"]["p50"] for since in ("ready", "submit")}
    assert (ttft["ready"] or 0) - (ttft["submit"] or 0) > HOLD_S - 0.05


def test_a_gateway_that_says_nothing_leaves_no_wait_and_a_sound_stream(tmp_path: Path) -> None:
    done, _ = through(tmp_path, Holding(silent=True), [a_session("s", rounds=1)])
    assert done.summary["valid"], done.summary["reasons"]
    assert at(done, SessionAdmitted) == {}
    assert done.summary["admission_wait"]["n"] == 0
    assert at(done, GpuSubmit)["s"] <= at(done, GpuFirstToken)["s"] - HOLD_S


@pytest.mark.usefixtures("patient")
def test_sub_agents_are_in_with_their_parents_and_tools_are_told(tmp_path: Path) -> None:
    child = Session("child", (Round(8, 1),))
    calls = (
        ToolCall("shell", floor_s=0.1),
        ToolCall("agent", "agent", child=child),
        ToolCall("test", "cpu", cpu_s=0.1),
    )
    done, server = through(tmp_path, Holding(), [Session("s", (Round(8, 1, calls), Round(8, 1)))])
    assert done.summary["valid"], done.summary["reasons"]
    assert at(done, SessionAdmitted)["child"] == at(done, SessionArrived)["child"]
    told = {(verb, body["name"], body["call"]) for verb, body in server.posts}
    assert told >= {("tool_start", "shell", "0"), ("tool_start", "agent", "1")}
    assert {body["session_id"].partition("#")[0] for _, body in server.posts} == {"s"}
    starts = [body for verb, body in server.posts if verb == "tool_start"]
    burns = {body["name"]: body["burns_cpu"] for body in starts}
    assert burns == {"shell": False, "agent": False, "test": True}


def test_a_gateway_is_told_once_that_arrivals_are_over(tmp_path: Path) -> None:
    child = Session("child", (Round(8, 1),))
    rounds = (Round(8, 1, (ToolCall("agent", "agent", child=child),)), Round(8, 1))
    gateway = Holding()
    through(tmp_path, gateway, [a_session("first"), Session("parent", rounds, arrival_s=0.1)])
    # The post may overtake the last session's request, not the one before it.
    assert gateway.over_after in ([1], [2])
