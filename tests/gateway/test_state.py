"""Who was let in survives a kill at any instant; gateways that share a file share a decision."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.world import CHAT, UNLIMITED, World, hello, play, server, unused_port, world
from marsbench.core import events
from marsbench.core.backends import choose
from marsbench.errors import UsageError
from marsbench.gateway.load import LoadRules
from marsbench.gateway.messages import Said
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.request import RoundRequest
from marsbench.gateway.server import Config, serve
from marsbench.gateway.session import OpenRound
from marsbench.gateway.sessions import OpenSessions
from marsbench.gateway.store import Keeper, KeptChat, KeptPlace, Store
from marsbench_backends.admission import FixedCap

CAP = 2
ROUNDS = 3


class Stopped:
    """A clock that stands; what is due later never comes."""

    now = 0.0

    def later(self, _seconds: float, _action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def on_disk(path: Path) -> list[str]:
    """What a process that starts now would read."""
    with sqlite3.connect(path) as db:
        return [row[0] for row in db.execute("SELECT id FROM places ORDER BY number")]


class Plays:
    """Sessions whose every step is looked at: what a kill at that instant would leave behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at_server: set[str] = set()
        self.instants = 0
        store = Store(path, "test")
        keeper = Keeper(store, lambda session: self.sessions.place(session), pytest.fail)

        def emit(event: events.Event) -> None:
            self.look()
            if isinstance(event, events.SessionEnded):
                self.at_server.discard(event.session)
            keeper(event)
            self.look()

        self.sessions = OpenSessions(
            Stopped(), FixedCap(CAP), Pressure, emit, 8, 600.0, LoadRules()
        )
        self.sessions.restore(store.places())

    def look(self) -> None:
        """Nobody is at the server whom the file does not know; no more are in than may be."""
        self.instants += 1
        places = on_disk(self.path)
        assert self.at_server <= set(places)
        assert sum("child" not in name for name in places) <= CAP

    def ask(self, name: str, parent: str | None = None, last: bool = False) -> OpenRound:
        plays = self

        class Waiter:
            def go(self) -> None:
                plays.look()
                plays.at_server.add(name)
                plays.look()

            def refuse(self, why: str) -> None: ...

        return self.sessions.ask(name, RoundRequest(name, 7, last, parent), Waiter())


def test_at_every_instant_the_file_knows_who_is_at_the_server(tmp_path: Path) -> None:
    plays = Plays(tmp_path / "state")
    first = {name: plays.ask(name) for name in "abc"}
    assert plays.at_server == {"a", "b"}
    plays.sessions.end(first["a"], "answered")
    child = plays.ask("child", parent="a")
    plays.sessions.end(child, "answered")
    plays.sessions.end(plays.ask("a", last=True), "answered")
    assert "c" in plays.at_server, "its place went to who waited"
    plays.sessions.end(first["b"], "failed")
    assert plays.instants > 20
    assert on_disk(plays.path) == ["c"]


def test_after_a_kill_the_same_sessions_are_in(tmp_path: Path) -> None:
    path = tmp_path / "state"
    before = Plays(path)
    before.sessions.end(before.ask("a"), "answered")
    before.ask("b")
    before.ask("waits")
    after = Plays(path)
    assert after.sessions.num_in_flight == CAP
    after.ask("a")
    assert after.at_server == {"a"}, "a running agent goes on at once"
    after.ask("late")
    assert "late" not in after.at_server
    after.sessions.end_session("b")
    assert "late" in after.at_server


def test_a_turn_that_breaks_off_after_a_kill_is_no_end(tmp_path: Path) -> None:
    before = Plays(tmp_path / "state")
    for name in "ab":
        before.sessions.end(before.ask(name), "answered")
    after = Plays(tmp_path / "state")
    after.sessions.end(after.ask("a"), "refused")
    after.sessions.end(after.ask("b"), "left")
    assert on_disk(after.path) == ["a", "b"], "their first rounds were answered before"
    after.sessions.end(after.ask("b"), "failed")
    assert on_disk(after.path) == ["a"]


def test_a_name_of_the_gateways_own_takes_no_place_after_a_kill(tmp_path: Path) -> None:
    plays = Plays(tmp_path / "state")
    plays.sessions.ask("chat-1", RoundRequest(None, 7), Unheard())
    assert plays.sessions.num_in_flight == 1
    assert on_disk(plays.path) == []


class Unheard:
    """A waiter that nobody looks at."""

    def go(self) -> None: ...
    def refuse(self, why: str) -> None: ...


def test_a_file_of_another_controller_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s", "fcfs-cap").close()
    with pytest.raises(UsageError, match="is of a gateway with fcfs-cap"):
        Store(tmp_path / "s", "mars")
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(UsageError, match="give a new file"):
        Store(tmp_path / "text", "mars")


def test_only_one_holds_the_lead_until_it_is_gone(tmp_path: Path) -> None:
    one, two = (Store(tmp_path / "s", "x") for _ in "ab")
    assert one.take_lead()
    assert not two.take_lead()
    one.let_in(KeptPlace("a", None, 3))
    one.close()
    assert two.take_lead()
    assert two.places() == [KeptPlace("a", None, 3)]


def test_a_gateway_that_starts_again_keeps_who_was_in(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def hello(_request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({})

    async def story() -> None:
        async with server(hello) as there:
            given: Any = {"state": state, "upstream": there}
            async with world(hello, "fcfs-cap", "fcfs-cap.cap=1", **given) as w:
                (await w.post("a")).release()
            async with world(hello, "fcfs-cap", "fcfs-cap.cap=1", **given) as w:
                waiting = asyncio.create_task(w.client.post(w.url + CHAT, json={"session_id": "b"}))
                await w.until(1, 1, 0, 0)
                (await w.post("a", vllm_xargs={"marsbench_last": 1})).release()
                (await waiting).release()

    play(story())


async def says_hello(_request: web.BaseRequest) -> web.StreamResponse:
    message = {"role": "assistant", "content": "hello"}
    return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})


def test_a_chat_without_a_name_is_one_session_whichever_gateway_it_comes_to(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(says_hello) as there:
            given: Any = {"state": tmp_path / "state", "upstream": there}
            async with (
                world(says_hello, **given) as leader,
                world(says_hello, **given) as follower,
            ):
                chat = [{"role": "user", "content": "hi"}]
                for w in (follower, leader, follower):
                    async with w.post(None, messages=chat) as answer:
                        assert answer.status == 200
                        chat += [(await answer.json())["choices"][0]["message"]]
                    chat += [{"role": "user", "content": "go on"}]
                assert (leader.gateway.leads, follower.gateway.leads) == (True, False)
                assert len(leader.events("session_arrived")) == 1
                assert (await follower.info())["rounds"] == {
                    "named": 0, "inferred": 3, "passed on": 0
                }  # fmt: skip

    play(story())


TOOLS = [{"type": "function", "function": {"name": "ls"}}]


class Calling:
    """A server whose every answer calls a tool, by an id and under an id of its own."""

    def __init__(self) -> None:
        self.numbers = count()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        number = next(self.numbers)
        call = {"id": f"call-{number}", "type": "function", "function": {"name": "ls"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        item = {"type": "function_call", "call_id": f"call-{number}", "name": "ls"}
        chat = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
        response = {"id": f"resp-{number}", "status": "completed", "output": [item]}
        return web.json_response(response if request.path == "/v1/responses" else chat)


async def talk(w: World, chat: list[dict[str, Any]], **more: Any) -> None:
    """One more round of a chat without a name, and what its client adds to it."""
    async with w.post(None, messages=list(chat), **more) as answer:
        message = (await answer.json())["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "done"}
        for call in message.get("tool_calls", [])
    ]
    chat += [message, *(results or [{"role": "user", "content": "go on"}])]


def test_a_chat_without_a_name_keeps_its_place_through_a_restart(tmp_path: Path) -> None:
    hi = {"role": "user", "content": "hi"}

    async def story() -> None:
        async with server(Calling()) as there:
            given: Any = {"state": tmp_path / "state", "upstream": there}
            chat = [hi]
            async with world(hello, "fcfs-cap", "fcfs-cap.cap=1", **given) as w:
                await talk(w, chat, tools=TOOLS)
            async with world(hello, "fcfs-cap", "fcfs-cap.cap=1", **given) as w:
                (name,) = on_disk(tmp_path / "state")
                alike = asyncio.create_task(talk(w, [hi], tools=TOOLS))
                await w.until(1, 1, 0, 0)
                await talk(w, chat, tools=TOOLS)
                assert w.counts == (1, 1, 0, 1), "the other still waits"
                assert name not in w.events("session_arrived"), "it goes on, the other is new"
                assert await w.tell("session_end", session_id=name) == 204
                await alike
                assert name not in on_disk(tmp_path / "state")

    play(story())


def test_a_question_and_its_answer_take_no_place_and_a_chat_that_goes_on_does(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with server(says_hello) as there:
            given: Any = {"state": tmp_path / "state", "upstream": there}
            chat = [{"role": "user", "content": "hi"}]
            async with world(hello, **given) as w:
                await talk(w, chat)
                assert on_disk(tmp_path / "state") == []
                await talk(w, chat)
                assert len(on_disk(tmp_path / "state")) == 1
            async with world(hello, **given) as w:
                await talk(w, chat)
                assert w.events("session_arrived") == []

    play(story())


def test_a_chat_that_names_the_response_before_keeps_its_place_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(Calling()) as there:
            given: Any = {"state": tmp_path / "state", "upstream": there}

            async def ask(w: World, **body: Any) -> str:
                sent = {"input": "hi", "tools": TOOLS, **body}
                async with w.client.post(w.url + "/v1/responses", json=sent) as answer:
                    return str((await answer.json())["id"])

            async with world(hello, **given) as w:
                first = await ask(w)
                second = await ask(w, previous_response_id=first)
            async with world(hello, **given) as w:
                await ask(w, previous_response_id=second)
                assert w.events("session_arrived") == []
                assert w.counts == (0, 1, 0, 1)

    play(story())


def test_what_a_chat_is_known_by_goes_with_its_place(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "x")
    said = Said.of(["call-1", "call-2"], ["so"])
    chat = KeptChat("chat-1", b"k" * 16, said, "resp-1")
    store.keep(KeptPlace("chat-1", None, 3), chat)
    assert (store.places(), store.chats()) == ([KeptPlace("chat-1", None, 3)], [chat])
    store.ended("chat-1")
    assert (store.places(), store.chats()) == ([], [])


# --- several processes, and kills


class Engine:
    """A server that counts who is at it: from a session's first round to the answer of its last."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.most = 0
        self.num_requests = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/metrics":
            return web.Response()
        body = await request.json()
        name, is_last = body["session_id"], bool(body["vllm_xargs"]["marsbench_last"])
        self.num_requests += 1
        self.open.add(name)
        self.most = max(self.most, len(self.open))
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.open.discard(name)
            raise
        if is_last:
            self.open.discard(name)
        return web.json_response({"session": name})


def _gateway(config: Config, pipe: Any) -> None:
    asyncio.run(serve(config, pipe.send))


@contextmanager
def gateways(number: int, upstream: str, state: Path) -> Iterator[dict[str, BaseProcess]]:
    """So many processes on one file, by URL; the first one leads."""
    fork = multiprocessing.get_context("fork")
    choice = choose("fcfs-cap", (f"fcfs-cap.cap={CAP}",))
    found: dict[str, BaseProcess] = {}
    try:
        for _ in range(number):
            ours, theirs = fork.Pipe()
            config = Config(choice, upstream, port=0, state=state)
            process = fork.Process(target=_gateway, args=(config, theirs))
            process.start()
            found[ours.recv()] = process
        yield found
    finally:
        for process in found.values():
            process.kill()
            process.join()


async def session(client: aiohttp.ClientSession, urls: list[str], number: int) -> None:
    """An agent whose every request goes to another gateway, and again where none came back."""
    tries = number
    for round_ in range(ROUNDS):
        xargs = {"marsbench_last": int(round_ == ROUNDS - 1)}
        body = {"session_id": f"s{number}", "prompt": [1], "vllm_xargs": xargs}
        answered = False
        while not answered:
            tries += 1
            with suppress(aiohttp.ClientError):
                async with client.post(urls[tries % len(urls)] + CHAT, json=body) as answer:
                    answered = answer.status == 200 and bool(await answer.read())
            await asyncio.sleep(0.01)


async def killer(engine: Engine, state: Path, those: dict[str, BaseProcess]) -> list[str]:
    """Kills the one that leads, at three moments of the play; which they were."""
    killed: list[str] = []
    store = Store(state, str(sqlite3.connect(state).execute(
        "SELECT value FROM gateway WHERE name = 'what'").fetchone()[0]))  # fmt: skip
    for moment in (4, 11, 17):
        while engine.num_requests < moment:
            await asyncio.sleep(0.001)
        while (leader := (store.leader() or ("",))[0]) in killed:
            await asyncio.sleep(0.001)
        those[leader].kill()
        killed.append(leader)
    store.close()
    return killed


def test_gateways_share_one_admission_through_the_kill_of_each_leader(tmp_path: Path) -> None:
    state, engine = tmp_path / "state", Engine()
    port = unused_port()

    async def story(those: dict[str, BaseProcess]) -> None:
        runner = web.ServerRunner(
            web.Server(engine, handler_cancellation=True, access_log=None),  # type: ignore[arg-type]
            shutdown_timeout=0.1,
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            async with aiohttp.ClientSession(timeout=UNLIMITED) as client:
                sessions = (session(client, list(those), number) for number in range(8))
                killed, *_ = await asyncio.gather(killer(engine, state, those), *sessions)
            assert len(set(killed)) == 3
        finally:
            await runner.cleanup()
        assert engine.num_requests >= 8 * ROUNDS
        assert engine.most == CAP
        assert not engine.open

    with gateways(4, f"http://127.0.0.1:{port}", state) as those:
        play(story(those))
