"""What the gateway passes on, it passes on as it is and at once."""

from __future__ import annotations

import asyncio
import gzip
import io
import json

from aiohttp import web

from gateway.world import CHAT, World, play, world


async def sse(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    return response


def test_a_stream_comes_byte_for_byte() -> None:
    parts = [b'data: {"a":"\xc3', b'\xa9"}\n\n', b": note\r\n\r\n", b"data: [DONE]\n\n"]

    async def script(request: web.Request) -> web.StreamResponse:
        response = await sse(request)
        for part in parts:
            await response.write(part)
        return response

    async def story() -> None:
        async with world(script) as w, w.post(stream=True) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert await answer.read() == b"".join(parts)

    play(story())


def test_each_chunk_comes_before_the_next_is_made() -> None:
    go_on = asyncio.Queue[None]()

    async def script(request: web.Request) -> web.StreamResponse:
        response = await sse(request)
        for number in range(3):
            await response.write(b"data: %d\n\n" % number)
            await go_on.get()
        return response

    async def story() -> None:
        async with world(script) as w, w.post(stream=True) as answer:
            for number in range(3):
                assert await answer.content.readany() == b"data: %d\n\n" % number
                go_on.put_nowait(None)
            assert await answer.read() == b""

    play(story())


def test_a_head_comes_before_the_body() -> None:
    go_on = asyncio.Event()

    async def script(request: web.Request) -> web.StreamResponse:
        response = await sse(request)
        await go_on.wait()
        return response

    async def story() -> None:
        async with world(script) as w, w.post(stream=True) as answer:
            assert answer.status == 200
            go_on.set()

    play(story())


def test_an_encoded_body_is_not_decoded() -> None:
    encoded = gzip.compress(b"hello" * 100)

    async def script(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=encoded, headers={"Content-Encoding": "gzip", "X-Its": "own"})

    async def story() -> None:
        async with world(script) as w, w.post() as answer:
            assert answer.headers["Content-Length"] == str(len(encoded))
            assert answer.headers["X-Its"] == "own"
            assert await answer.read() == b"hello" * 100  # the client decodes it

    play(story())


def test_a_request_arrives_as_it_was_sent() -> None:
    body = b'{"session_id":"s", "prompt" : [1],\n"odd":1.50}'
    sent = {"Authorization": "Bearer k", "X-Session-ID": "s", "Accept": "a/b", "TE": "trailers"}

    async def story() -> None:
        async with world() as w:
            await w.client.post(f"{w.url}{CHAT}?q=1&r=2", data=body, headers=sent)
            ((request, got),) = w.seen
            assert (got, request.raw_path) == (body, f"{CHAT}?q=1&r=2")
            assert {name: request.headers.get(name) for name in sent} == {**sent, "TE": None}
            assert request.headers["Host"] == w.gateway.config.upstream.removeprefix("http://")

    play(story())


def test_headers_that_a_client_did_not_send_are_not_made_up() -> None:
    async def story() -> None:
        async with world() as w:
            plain = {"User-Agent": "x"}
            skip = ["Accept", "Accept-Encoding", "Content-Type"]
            await w.client.post(w.url + CHAT, data=b"{}", headers=plain, skip_auto_headers=skip)
            assert set(w.seen[0][0].headers) == {"User-Agent", "Host", "Content-Length"}

    play(story())


def test_errors_of_the_server_are_passed_on_as_they_are() -> None:
    async def story(status: int) -> None:
        async def script(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, reason="So Be It", body=b"as it is")

        async with world(script) as w, w.post() as answer:
            assert (answer.status, answer.reason) == (status, "So Be It")
            assert await answer.read() == b"as it is"
            await w.until(0, 0, 0, 0)
            assert w.events("session_ended") == ["s"]  # its first round: the place is free

    for status in (302, 400, 429, 500, 503):
        play(story(status))


def test_large_prompts_pass() -> None:
    body = json.dumps({"session_id": "s", "prompt": list(range(300_000))}).encode()

    async def story() -> None:
        async with world() as w:
            async with w.client.post(w.url + CHAT, data=io.BytesIO(body)) as answer:
                assert answer.status == 200
            assert w.seen[0][1] == body

    play(story())


def test_cookies_of_one_client_are_not_sent_for_another() -> None:
    async def script(_request: web.Request) -> web.StreamResponse:
        response = web.Response()
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    async def story() -> None:
        async with world(script) as w:
            async with w.post() as answer:
                assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
            w.client.cookie_jar.clear()
            await w.post()
            assert "Cookie" not in w.seen[1][0].headers

    play(story())


def test_what_is_no_round_passes_at_once() -> None:
    async def get(w: World, path: str) -> int:
        async with w.client.get(w.url + path) as answer:
            return answer.status

    async def story() -> None:
        async with world(backend="fcfs") as w:
            for path in ("/v1/models", "/health", "/v1/any/thing", "/version"):
                assert await get(w, path) == 200
            assert [request.path for request, _ in w.seen] == [
                *("/v1/models", "/health", "/v1/any/thing", "/version")
            ]
            assert await get(w, "/sleep") == 404
            assert w.counts == (0, 0, 0, 0)

    play(story())
