"""What clients leave in a gateway is bounded together, and control is not for everybody."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.world import CHAT, play, world
from marsbench.core.events import SessionArrived
from marsbench.gateway.access import _is_here
from marsbench.gateway.history import MOST_AT_ONCE, OVERHEAD, History
from marsbench.gateway.limits import LONGEST_ID, Limits
from marsbench.http_server import CONTROL_HEADER
from waits import turns

LONG = "é" * (LONGEST_ID // 2) + "x"


async def said(answer: aiohttp.ClientResponse) -> str:
    found = (await answer.json())["error"]
    assert (found["code"], found["type"]) == (answer.status, "marsbench_gateway")
    return str(found["message"])


def test_bodies_are_bounded_together_and_free_their_room() -> None:
    go = asyncio.Event()

    async def slow(_request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        return web.json_response({})

    async def story() -> None:
        async with world(slow, limits=Limits(body=1000, bodies=1500)) as w:
            first = asyncio.create_task(w.client.post(w.url + CHAT, data=_body(900)))
            assert await turns(lambda: len(w.seen) == 1)
            async with w.client.post(w.url + CHAT, data=_body(900)) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                await said(answer)
            go.set()
            (await first).release()
            assert await turns(lambda: w.gateway._bodies.held == 0)
            async with w.client.post(w.url + CHAT, data=_body(900)) as answer:
                assert answer.status == 200
            async with w.client.post(w.url + CHAT, data=b" " * 1001) as answer:
                assert answer.status == 413
            assert await turns(lambda: w.gateway._bodies.held == 0)

    play(story())


def _body(size: int) -> bytes:
    return json.dumps({"session_id": "s"}).encode().ljust(size)


def test_names_have_at_most_256_bytes() -> None:
    async def story() -> None:
        async with world() as w:
            async with w.post(LONG) as answer:
                assert answer.status == 400
                assert "257 bytes" in await said(answer)
            async with w.post("s", vllm_xargs={"marsbench_parent": LONG}) as answer:
                assert answer.status == 400
            async with w.post(LONG[:-1]) as answer:
                assert answer.status == 200
            for name in ("session_id", "name", "call"):
                assert await w.tell("tool_start", **{"session_id": "s", name: LONG}) == 400

    play(story())


def test_so_many_sessions_are_known_and_no_more() -> None:
    async def story() -> None:
        async with world(limits=Limits(sessions=1)) as w:
            async with w.post("a") as answer:
                assert answer.status == 200
            async with w.post("b") as answer:
                assert answer.status == 503
                assert "Retry-After" in answer.headers
            async with w.post("a") as answer:
                assert answer.status == 200, "who is known goes on"

    play(story())


def test_the_history_is_bounded_in_bytes_and_told_in_parts() -> None:
    history = History(10 * OVERHEAD)
    for number in range(100):
        history.append(SessionArrived(0.0, f"s{number}" + "x" * 200))
    told, following = history.since(0)
    assert following == 100
    assert 0 < len(told) < 10
    large = History(1 << 30)
    for _ in range(MOST_AT_ONCE + 5):
        large.append(SessionArrived(0.0, "s"))
    first, following = large.since(0)
    assert (len(first), following) == (MOST_AT_ONCE, MOST_AT_ONCE)
    rest, following = large.since(following)
    assert (len(rest), following, large.since(10**9)[0]) == (5, MOST_AT_ONCE + 5, [])


def test_control_wants_the_token_and_rounds_do_not() -> None:
    async def story() -> None:
        async with world(token="secret") as w:
            for given, status in ((None, 401), ("wrong", 401), ("sécret", 401), ("secret", 200)):
                headers = {} if given is None else {CONTROL_HEADER: given}
                async with w.client.get(f"{w.url}/marsbench/info", headers=headers) as answer:
                    assert answer.status == status
            assert await w.tell("session_end", session_id="s") == 401
            async with w.post("s") as answer:
                assert answer.status == 200

    play(story())


@pytest.mark.parametrize(
    ("remote", "here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), (None, True), ("", True),
     ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("x", False)],
)  # fmt: skip
def test_without_a_token_control_is_for_this_machine(remote: str | None, here: bool) -> None:
    assert _is_here(remote) is here


def test_control_on_a_port_of_its_own_is_nowhere_else() -> None:
    async def story() -> None:
        async with world(control_port=0) as w:
            async with w.client.get(f"{w.url}/marsbench/info") as answer:
                assert answer.status == 404
            control = w.gateway.control_url
            async with w.client.get(f"{control}/marsbench/info") as answer:
                assert answer.status == 200
            async with w.client.post(f"{control}{CHAT}", data=b"{}") as answer:
                assert answer.status == 404
                await said(answer)

    play(story())


@pytest.mark.parametrize("sent", [b"no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n"])
def test_what_the_parser_says_is_json_too(sent: bytes) -> None:
    async def story() -> None:
        async with world() as w:
            port = int(w.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head.split()[1] == b"400"
            found: dict[str, Any] = json.loads(body)["error"]
            assert (found["code"], found["type"]) == (400, "marsbench_gateway")

    play(story())


def test_sessions_of_a_run_are_gone_when_its_connection_is() -> None:
    async def story() -> None:
        async with world(_hello, "fcfs-cap", "fcfs-cap.cap=2") as w:
            for nonce, status in (("short", 400), ("x" * 257, 400)):
                async with w.client.get(f"{w.url}/marsbench/alive?nonce={nonce}") as answer:
                    assert answer.status == status
            held = [await w.client.get(f"{w.url}/marsbench/alive?nonce={N}") for _ in "ab"]
            for name in (f"a#{N}", "other"):
                async with w.post(name, tools=TOOLS) as answer:
                    assert answer.status == 200
            waiting = asyncio.create_task(w.client.post(w.url + CHAT, json={"session_id": "late"}))
            await w.until(1, 2, 0, 2)
            held[0].close()
            await asyncio.sleep(0)
            async with w.post(f"a#{N}", tools=TOOLS) as answer:
                assert answer.status == 200, "another connection of the run is there"
            held[1].close()
            (await waiting).release()
            assert w.events("session_ended") == [f"a#{N}"]

    play(story())


N = "4f3a9c1e22aa"
TOOLS = [{"type": "function"}]
"""Whose rounds have some is at work, and keeps its place while another waits."""


async def _hello(_request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({})
