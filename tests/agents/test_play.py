"""Agents on the stage, without OpenHands: a script says what their processes would say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from live.world import serving
from marsbench.clock import monotonic
from marsbench.core.backends import choose
from marsbench.core.events import (
    Event,
    Evicted,
    GpuEnd,
    KvUsage,
    PreemptionCount,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    Unmeasured,
)
from marsbench.core.metrics.check import Checker
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import RunFailedError
from marsbench.hardware.profile import load_hardware
from marsbench.runs.request import RunRequest
from marsbench.tasks.files import load_tasks
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.plan import make_plan
from marsbench.wall.agents.play import AgentPlay, AgentsJob
from marsbench.wall.server import Server, probe

Script = Callable[["Scripted", str], None]


class Scripted:
    """A launcher's pipe: an agent that starts says what the script says, at once."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.killed: list[str] = []
        self.started: list[str] = []
        self._lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def say(self, session: str, kind: str, **facts: Any) -> None:
        self._lines.put_nowait({"session": session, "kind": kind, "at": monotonic(), **facts})

    def die(self) -> None:
        self._lines.put_nowait(None)

    def start(self, orders: Mapping[str, Any]) -> None:
        self.started.append(orders["session"])
        self.script(self, orders["session"])

    def kill(self, session: str) -> None:
        self.killed.append(session)
        self.say(session, "exit", code=-9)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        while (line := await self._lines.get()) is not None:
            yield line
        raise RunFailedError("The agents' launcher ended by itself")


def one_round(agents: Scripted, session: str) -> None:
    tokens = {"prompt_tokens": 100, "output_tokens": 10, "cached_tokens": 64}
    agents.say(session, "begin")
    agents.say(session, "llm_start", round=0)
    agents.say(session, "llm_end", round=0, **tokens)
    agents.say(session, "end", reason=None)
    agents.say(session, "exit", code=0)


def played(
    folder: Path,
    script: Script = one_round,
    server: Server | None = None,
    arrivals: str = "closed:2",
    **options: Any,
) -> tuple[list[Event], AgentPlay, Scripted]:
    """Three agents, played; the workspaces are not made, for nobody works in them."""
    server = server or Server("http://127.0.0.1:1", "m")
    tasks = load_tasks("shipped:off-by-one")
    knobs = Knobs(sessions=3, arrivals=arrivals, rate=1000.0 if ":" not in arrivals else None)
    plan = make_plan(tasks, "t", knobs, 0)
    own = OpenHandsOptions(url=server.root, **options)
    request = RunRequest(choice=choose("fcfs"), hardware=load_hardware(), own=own)
    job = AgentsJob(request, own, server, tasks, plan, Path("python"), folder)
    seen: list[Event] = []
    play, agents = AgentPlay(job, plan, folder, seen.append), Scripted(script)
    asyncio.run(play.play(agents, folder / "agents.jsonl", lambda _: None))  # type: ignore[arg-type]
    return seen, play, agents


@pytest.mark.parametrize("arrivals", ["closed:2", "poisson"])
def test_every_agent_is_played_to_its_end_in_a_sound_stream(tmp_path: Path, arrivals: str) -> None:
    seen, play, agents = played(tmp_path, arrivals=arrivals)
    checker = Checker(unmeasured=("gpu_start", "gpu_first_token"))
    list(checker.watch(seen))
    assert checker.violations == []
    assert sum(isinstance(e, GpuEnd) for e in seen) == len(agents.started) == 3
    assert {reason for reason, _ in play.ended.values()} == {None}
    assert len((tmp_path / "agents.jsonl").read_text().splitlines()) == 15


class Gate:
    """A gateway that holds every session for so long, which its agents tell it."""

    held_s = 0.03

    def __init__(self) -> None:
        self.lines: list[str] = []

    def script(self, agents: Scripted, session: str) -> None:
        self.lines.append(SessionArrived(5.0, session).to_json())
        agents.say(session, "begin")
        agents.say(session, "llm_start", round=0)
        asyncio.get_running_loop().call_later(2 * self.held_s, self.answer, agents, session)

    def answer(self, agents: Scripted, session: str) -> None:
        self.lines.append(SessionAdmitted(5.0 + self.held_s, session).to_json())
        tokens = {"prompt_tokens": 100, "output_tokens": 10, "cached_tokens": 64}
        agents.say(session, "llm_end", round=0, **tokens)
        agents.say(session, "end", reason=None)
        agents.say(session, "exit", code=0)

    async def info(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"backend": "fcfs", "parameters": {}, "speed": 1.0})

    async def events(self, request: web.Request) -> web.StreamResponse:
        text = "".join(f"{line}\n" for line in self.lines[int(request.query["since"]) :])
        return web.Response(text=text, headers={"X-Next": str(len(self.lines))})


def test_a_wait_at_the_gateway_is_known_however_soon_the_answer_comes(tmp_path: Path) -> None:
    gate = Gate()
    routes = {f"/marsbench/{name}": getattr(gate, name) for name in ("info", "events")}
    with serving(routes=routes) as server:
        seen, _, agents = played(tmp_path, gate.script, probe(server.url, None))
    arrived, admitted = (
        {e.session: e.at for e in seen if isinstance(e, kind)}
        for kind in (SessionArrived, SessionAdmitted)
    )
    assert arrived.keys() == admitted.keys()
    assert len(agents.started) == 3
    waits = [admitted[name] - arrived[name] for name in arrived]
    assert waits == pytest.approx([gate.held_s] * 3)


def test_no_more_agents_are_under_way_than_there_are_workers(tmp_path: Path) -> None:
    under_way: list[int] = []

    def script(agents: Scripted, session: str) -> None:
        under_way.append(len(agents.started))
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, one_round, agents, session)

    seen, _, _ = played(tmp_path, script, arrivals="poisson", workers=1)
    ends = [e.at for e in seen if isinstance(e, SessionEnded)]
    arrived = [e.at for e in seen if isinstance(e, SessionArrived)]
    assert under_way == [1, 2, 3]
    assert max(arrived) < ends[-1], "who waits for a worker has arrived all the same"
    assert ends[1] - ends[0] >= 0.05


def test_an_agent_that_says_nothing_is_killed_at_its_limit(tmp_path: Path) -> None:
    _, play, agents = played(tmp_path, lambda _agents, _session: None, time_limit_s=1)
    assert sorted(agents.killed) == sorted(agents.started)
    assert {reason for reason, _ in play.ended.values()} == {"killed at its time limit of 1 s"}


def test_without_the_launcher_the_play_is_over(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="launcher ended by itself"):
        played(tmp_path, lambda agents, _: agents.die())


def test_kv_events_that_nobody_sends_are_no_evictions_of_zero(tmp_path: Path) -> None:
    seen, _, _ = played(tmp_path, kv_events="tcp://127.0.0.1:1")
    assert [e.what for e in seen if isinstance(e, Unmeasured)] == [Evicted.kind]


def test_the_server_is_asked_once_more_when_all_have_ended(tmp_path: Path) -> None:
    """What it preempted since the last look counts; of its cache nothing is said then."""
    with serving() as server:
        seen, _, _ = played(tmp_path, server=probe(server.url, None))
    looks, usages = (sum(isinstance(e, k) for e in seen) for k in (PreemptionCount, KvUsage))
    assert looks == usages + 1 >= 2
